"""JAX bodies of `contrast.backend`."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import keras


def scan(body, carry, length, outputs=0):
    """Runs `carry, outs = body(carry, index)` for each index below `length`, in order.

    See `contrast.backend.tensorflow_backend.scan` for the arguments.
    """
    return jax.lax.scan(body, carry, jnp.arange(length, dtype="int32"))


def set_at(x, index, value):
    """The array `x` with `value` in the place of `x[index]`.

    See `contrast.backend.tensorflow_backend.set_at` for the arguments.
    """
    return x.at[index].set(value)


def add_at(x, index, value):
    """The tensor `x` with `value` added to `x[index]`.

    See `contrast.backend.tensorflow_backend.set_at` for the arguments.
    """
    return x.at[index].add(value)


def value_and_grad(function, *tensors):
    """Returns `function(*tensors)`, a scalar, and the tuple of its gradients."""
    return jax.value_and_grad(function, argnums=tuple(range(len(tensors))))(*map(jnp.asarray, tensors))


def map_chunks(function, weights, state, parts):
    """Applies a function to chunks of rows, one after the other; backward computes each chunk once more.

    See `contrast.backend.tensorflow_backend.map_chunks` for the arguments.
    """
    recomputed = jax.checkpoint(function, prevent_cse=False)  # `scan` keeps the two computations apart

    def body(state, chunk):
        outputs, state = recomputed(weights, state, chunk)
        return state, outputs

    # Where the rows are spread over devices, each device has its share of every chunk.
    state, outputs = jax.lax.scan(body, list(state), [jnp.moveaxis(part, 1, 0) for part in parts])
    return outputs, state


def compiled(function, variables):
    """Compiles a function of tensors.

    See `contrast.backend.tensorflow_backend.compiled` for the arguments.
    """

    @jax.jit
    def pure(values, *tensors):
        with keras.StatelessScope(state_mapping=list(zip(variables(), values, strict=True))):
            return function(*tensors)

    return lambda *tensors: pure([variable.value for variable in variables()], *tensors)


def untraced():
    """A block in which nothing is different: operation by operation JAX would compile each of them."""
    return nullcontext()


def two_gradient_step(model, ascend):
    """A training step whose gradient is taken at other weights than those that it updates.

    See `contrast.backend.tensorflow_backend.two_gradient_step`. Here the step takes `(state, data)`.
    """

    def train_step(state, data):
        weights, variables, optimizer_variables, metrics = state
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        differentiate = jax.value_and_grad(model.compute_loss_and_updates, has_aux=True)

        def gradients(weights):
            (_, left), gradients = differentiate(
                weights,
                variables,
                metrics,
                x,
                y,
                sample_weight,
                training=True,
                optimizer_variables=optimizer_variables,
            )
            return left, gradients

        (loss, y_pred, new_variables, new_metrics), first = gradients(weights)
        _, second = gradients(ascend(first, weights))
        weights, optimizer_variables = model.optimizer.stateless_apply(optimizer_variables, second, weights)
        logs, metrics = model._update_metrics_variables(new_metrics, loss, x, y, y_pred, sample_weight)
        return logs, (weights, new_variables, optimizer_variables, metrics)

    return train_step


def has_accelerator():
    """Whether JAX computes on something else than the processor by default."""
    return jax.default_backend() != "cpu"


def replica_count():
    """1: under `keras.distribution` a JAX step sees the global batch."""
    return 1


def replica_index():
    """0: there is one replica."""
    return 0


def gather_rows(x):
    """The rows themselves: they are the global batch's."""
    return x


def random_state():
    """Empty: JAX has no global generator."""
    return {}


def set_random_state(state):
    """Sets what `random_state` returned: nothing."""
