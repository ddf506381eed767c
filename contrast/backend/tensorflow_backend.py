"""TensorFlow bodies of `contrast.backend`."""

import tensorflow as tf


def scan(body, carry, length, outputs=0):
    """Runs `carry, outs = body(carry, index)` for each index below `length`, in order.

    `tf.while_loop` runs ten iterations at once unless told otherwise, which would hold ten tiles in memory.

    Args:
        body: function of a tuple of tensors and an int32 index; returns the next tuple (same shapes and
            dtypes) and a tuple of float32 tensors of the same shape in every iteration.
        carry: tuple of tensors.
        length: int or scalar tensor.
        outputs: how many tensors `body` puts out per iteration.

    Returns:
        The last carry and a tuple of the outputs, each stacked along a new first axis.
    """
    arrays = tuple(tf.TensorArray("float32", size=length) for _ in range(outputs))

    def step(index, carry, arrays):
        carry, outs = body(carry, index)
        return index + 1, carry, tuple(a.write(index, out) for a, out in zip(arrays, outs, strict=True))

    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < length,
        step,
        (tf.constant(0), carry, arrays),
        parallel_iterations=1,
    )
    return carry, tuple(a.stack() for a in arrays)


def value_and_grad(function, *tensors):
    """Returns `function(*tensors)`, a scalar, and the tuple of its gradients."""
    tensors = [tf.convert_to_tensor(t) for t in tensors]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return value, tuple(tape.gradient(value, tensors, unconnected_gradients="zero"))


def compiled(function, variables):
    """Compiles a function of tensors; equal shapes and dtypes are compiled once.

    Args:
        function: takes tensors, or `None` in place of one, and returns nested tensors. Only for inference: it
            changes no variable.
        variables: function without arguments that lists the variables that `function` reads. Each call sees
            the values that they have by then.

    Returns:
        The compiled function.
    """
    return tf.function(function, autograph=False)


def replica_count():
    """How many replicas of `tf.distribute` compute this step together; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def random_state():
    """State of TensorFlow's global generator; Keras itself draws from its seed generators."""
    return {"global": tf.random.get_global_generator().state.numpy()}


def set_random_state(state):
    """Sets what `random_state` returned."""
    tf.random.set_global_generator(tf.random.Generator.from_state(state["global"], alg="philox"))
