"""Random numbers that differ between replicas."""

from contextlib import contextmanager

from keras import ops

_APART = 7919


@contextmanager
def seeds_of_replica(model, index):
    """In the block every seed generator of the model draws other numbers on each replica.

    After it the states are those of a single replica, so that a checkpoint of one replica serves them all.

    Args:
        model: a `keras.Model`.
        index: which replica this is, an int or a scalar tensor; the first draws as without replicas.
    """
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    _shift(states, index * _APART)
    try:
        yield
    finally:
        _shift(states, -index * _APART)


def _shift(states, offset):
    for state in states:
        shift = ops.stack([ops.cast(offset, state.dtype), ops.zeros((), state.dtype)])
        state.assign(ops.copy(state) + shift)
