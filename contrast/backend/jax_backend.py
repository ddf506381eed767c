"""JAX bodies of `contrast.backend`."""

import jax
import jax.numpy as jnp
import keras


def scan(body, carry, length, outputs=0):
    """Runs `carry, outs = body(carry, index)` for each index below `length`, in order.

    See `contrast.backend.tensorflow_backend.scan` for the arguments.
    """
    return jax.lax.scan(body, carry, jnp.arange(length, dtype="int32"))


def value_and_grad(function, *tensors):
    """Returns `function(*tensors)`, a scalar, and the tuple of its gradients."""
    return jax.value_and_grad(function, argnums=tuple(range(len(tensors))))(*map(jnp.asarray, tensors))


def compiled(function, variables):
    """Compiles a function of tensors.

    See `contrast.backend.tensorflow_backend.compiled` for the arguments.
    """

    @jax.jit
    def pure(values, *tensors):
        with keras.StatelessScope(state_mapping=list(zip(variables(), values, strict=True))):
            return function(*tensors)

    return lambda *tensors: pure([variable.value for variable in variables()], *tensors)


def replica_count():
    """1: under `keras.distribution` a JAX step sees the global batch."""
    return 1


def random_state():
    """Empty: JAX has no global generator."""
    return {}


def set_random_state(state):
    """Sets what `random_state` returned: nothing."""
