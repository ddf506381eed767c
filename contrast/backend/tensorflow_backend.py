"""TensorFlow bodies of `contrast.backend`."""

from contextlib import contextmanager

import keras
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
    carry, outs = _collect(body, carry, length, ["float32"] * outputs)
    return carry, tuple(outs)


def set_at(x, index, value):
    """The tensor `x` with `value` in the place of `x[index]`.

    Go on with the result alone: where the backend can, it is `x` itself, changed without a copy. No gradient
    flows through it.

    Args:
        x: tensor `(n, ...)` that nothing else needs any more.
        index: int or int32 scalar tensor.
        value: tensor of the shape and dtype of `x[index]`.
    """
    return tf.tensor_scatter_nd_update(x, [[index]], value[None])


def add_at(x, index, value):
    """The tensor `x` with `value` added to `x[index]`.

    See `set_at`.
    """
    return tf.tensor_scatter_nd_add(x, [[index]], value[None])


def value_and_grad(function, *tensors):
    """Returns `function(*tensors)`, a scalar, and the tuple of its gradients."""
    tensors = [tf.convert_to_tensor(t) for t in tensors]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return value, tuple(tape.gradient(value, tensors, unconnected_gradients="zero"))


def map_chunks(function, weights, state, parts):
    """Applies a function to chunks of rows, one after the other; backward computes each chunk once more.

    Forward keeps what the function returns alone. Backward goes through the chunks again, from the same
    state, and sums the gradients of the weights: memory is that of one chunk.

    Args:
        function: `function(weights, state, chunk)`, two lists of tensors and a list of tensors `(size, ...)`;
            returns a list of tensors `(size, ...)` and the next state. It depends on nothing else that
            changes and changes nothing else.
        weights: list of tensors that get a gradient.
        state: list of tensors without gradient, which each chunk hands to the next.
        parts: list of tensors `(size, chunks, ...)`: chunk c is `part[:, c]`. Those of floats get a gradient.

    Returns:
        A list of the outputs, each `(chunks, size, ...)`, and the last state.
    """
    weights, state, parts = ([tf.convert_to_tensor(t) for t in group] for group in (weights, state, parts))
    count = parts[0].shape[1] or tf.shape(parts[0])[1]
    ends = len(weights), len(weights) + len(state)
    is_float = [part.dtype.is_floating for part in parts]

    def grouped(tensors):
        return list(tensors[: ends[0]]), list(tensors[ends[0] : ends[1]]), list(tensors[ends[1] :])

    # A loop must know what it collects before it runs.
    traced = tf.function(
        lambda: function(weights, state, [part[:, 0] for part in parts])[0], autograph=False
    ).get_concrete_function()
    dtypes = [output.dtype for output in traced.structured_outputs]

    @tf.custom_gradient
    def mapped(*tensors):
        weights, first_state, parts = grouped(tensors)

        def forward(state, index):
            outputs, state = function(weights, state, [part[:, index] for part in parts])
            return state, outputs

        last_state, outputs = _collect(forward, first_state, count, dtypes)

        def gradient(*upstream):
            def backward(carry, index):
                state, totals = carry
                sources = [tf.identity(weight) for weight in weights]
                chunk = [part[:, index] for part in parts]
                floats = [part for part, wanted in zip(chunk, is_float, strict=True) if wanted]
                with tf.GradientTape() as tape:
                    tape.watch([sources, floats])
                    outputs, state = function(sources, state, chunk)
                used = [number for number, dtype in enumerate(dtypes) if dtype.is_floating]
                gradients = tape.gradient(
                    [outputs[number] for number in used],
                    [*sources, *floats],
                    output_gradients=[upstream[number][index] for number in used],
                    unconnected_gradients="zero",
                )
                # The gradient of an embedding is sparse.
                gradients = [tf.convert_to_tensor(g) for g in gradients]
                totals = [total + g for total, g in zip(totals, gradients, strict=False)]
                return (state, totals), gradients[ends[0] :]

            start = first_state, [tf.zeros_like(weight) for weight in weights]
            (_, totals), found = _collect(
                backward, start, count, [part.dtype for part in parts if part.dtype.is_floating]
            )
            found = iter(found)  # of each chunk in turn
            of_parts = [_swapped(next(found)) if wanted else None for wanted in is_float]
            return (*totals, *([None] * len(state)), *of_parts)

        return (*outputs, *last_state), gradient

    results = mapped(*weights, *state, *parts)
    return list(results[: len(dtypes)]), list(results[len(dtypes) :])


def _swapped(x):
    """The tensor with its first two axes swapped."""
    return tf.transpose(x, (1, 0, *range(2, x.shape.rank)))


def _collect(body, carry, length, dtypes):
    """`scan` with a dtype for each output."""
    arrays = [tf.TensorArray(dtype, size=length) for dtype in dtypes]

    def step(index, carry, arrays):
        carry, outs = body(carry, index)
        return index + 1, carry, [a.write(index, out) for a, out in zip(arrays, outs, strict=True)]

    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < length,
        step,
        (tf.constant(0), carry, arrays),
        parallel_iterations=1,
    )
    return carry, [array.stack() for array in arrays]


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


@contextmanager
def untraced():
    """In the block functions run operation by operation, which spares small models the cost of tracing."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def two_gradient_step(model, ascend):
    """A training step whose gradient is taken at other weights than those that it updates.

    The gradient at the weights tells where to; there the gradient of the same loss is taken, which the
    optimiser then applies to the old weights. Both passes start from the same state: random masks, moving
    statistics, queues and teachers. What the step leaves in them, and what it reports, is the first pass's.

    Args:
        model: a compiled `keras.Model`.
        ascend: function of the gradients and the weights, two lists of tensors, that returns the weights of
            the second pass. A gradient may be `None`.

    Returns:
        What stands for `model.train_step`, with its arguments and its result on this backend.
    """

    def gradients(x, y, sample_weight):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True) if model._call_has_training_arg else model(x)
            loss = model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
            scaled = model.optimizer.scale_loss(loss)
        return loss, y_pred, tape.gradient(scaled, [v.value for v in model.trainable_variables])

    def train_step(data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        # Keras leaves it to the first pass to create variables, but here they are read before it.
        model._symbolic_build(data_batch=data)
        state = [*model.non_trainable_variables, *model.metrics_variables]
        weights = model.trainable_variables
        before, old = _copies(state), _copies(weights)
        loss, y_pred, first = gradients(x, y, sample_weight)
        after = _copies(state)
        # The gradient of an embedding is sparse.
        first = [None if g is None else tf.convert_to_tensor(g) for g in first]
        _assign(state, before)
        _assign(weights, ascend(first, old))
        _, _, second = gradients(x, y, sample_weight)
        _assign(weights, old)
        _assign(state, after)
        model.optimizer.apply(second, weights)
        batch = next(array for array in keras.tree.flatten(x) if array is not None)
        model._loss_tracker.update_state(loss, sample_weight=tf.shape(batch)[0])
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    return train_step


def _copies(variables):
    return [tf.identity(variable.value) for variable in variables]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def has_accelerator():
    """Whether TensorFlow sees a GPU or TPU."""
    return any(device.device_type in ("GPU", "TPU") for device in tf.config.list_logical_devices())


def replica_count():
    """How many replicas of `tf.distribute` compute this step together; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_index():
    """The number of this replica; 0 outside of a step of `tf.distribute`."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else context.replica_id_in_sync_group


def gather_rows(x):
    """The rows of all replicas; outside of a step of `tf.distribute`, the given ones."""
    context = tf.distribute.get_replica_context()
    if context is None:
        return x
    # What a step was given stands on no device, where all_gather looks for one with a process a replica. The
    # shape behind the rows is lost on the way.
    return tf.ensure_shape(context.all_gather(tf.identity(x), axis=0), [None, *x.shape[1:]])


def random_state():
    """State of TensorFlow's global generator; Keras itself draws from its seed generators."""
    return {"global": tf.random.get_global_generator().state.numpy()}


def set_random_state(state):
    """Sets what `random_state` returned."""
    tf.random.set_global_generator(tf.random.Generator.from_state(state["global"], alg="philox"))
