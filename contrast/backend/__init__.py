"""The few things that Keras 3 lacks or does differently on each of its backends.

Every backend module defines the same functions:

- `scan(body, carry, length, outputs)`: a loop whose iterations run strictly one after the other;
- `set_at(x, index, value)` and `add_at(x, index, value)`: the tensor with one entry of its first axis
  replaced, or increased;
- `value_and_grad(function, *tensors)`: a scalar function's value and its gradients;
- `map_chunks(function, weights, state, parts)`: a function of chunks of rows, whose backward computes each
  chunk once more;
- `compiled(function, variables)`: the function compiled, without gradients, for inference;
- `untraced()`: a block in which functions of TensorFlow are not traced, for what runs a few steps only;
- `two_gradient_step(model, ascend)`: a training step whose gradient is taken at other weights;
- `has_accelerator()`: whether tensors lie on a GPU or TPU unless told otherwise;
- `replica_count()` and `replica_index()`: on how many replicas the current step runs, and which one this is;
- `gather(x)`: the rows of all replicas, with their gradients; `own_rows(gathered, x)`: those of this replica;
- `rows_before(x)`: how many rows of the gathered tensor stand before this replica's;
- `mean_over_replicas(x)`: the mean of what each replica has;
- `random_state()` and `set_random_state(state)`: what the backend itself draws random numbers from, as a dict
  of NumPy arrays.
"""

import keras
from keras import ops

from contrast.typing import Tensor

match keras.backend.backend():
    case "tensorflow":
        from contrast.backend.tensorflow_backend import (
            add_at,
            compiled,
            gather_rows,
            has_accelerator,
            map_chunks,
            random_state,
            replica_count,
            replica_index,
            scan,
            set_at,
            set_random_state,
            two_gradient_step,
            untraced,
            value_and_grad,
        )
    case "jax":
        from contrast.backend.jax_backend import (
            add_at,
            compiled,
            gather_rows,
            has_accelerator,
            map_chunks,
            random_state,
            replica_count,
            replica_index,
            scan,
            set_at,
            set_random_state,
            two_gradient_step,
            untraced,
            value_and_grad,
        )
    case "torch":
        from contrast.backend.torch_backend import (
            add_at,
            compiled,
            gather_rows,
            has_accelerator,
            map_chunks,
            random_state,
            replica_count,
            replica_index,
            scan,
            set_at,
            set_random_state,
            two_gradient_step,
            untraced,
            value_and_grad,
        )
    case other:
        raise ImportError(
            f"contrast runs on the backends tensorflow, jax and torch, got {other!r}; set KERAS_BACKEND."
        )


def gather(x: Tensor | None) -> Tensor | None:
    """The rows of all replicas, in the order of the replicas; `x` itself where there is one, or for `None`.

    The gradient of what a replica computes from these rows reaches the replica that they came from. When
    every replica computes the same number from them, divided by the number of replicas, the sum of all
    gradients is that of the number itself.

    Args:
        x: tensor `(rows, ...)`, of which each replica may have another number of rows, none too; or `None`.
    """
    if x is None or replica_count() == 1:
        return x
    x = ops.convert_to_tensor(x)
    if keras.backend.standardize_dtype(x.dtype) == "bool":
        return ops.cast(gather_rows(ops.cast(x, "int32")), "bool")
    return gather_rows(x)


def own_rows(gathered: Tensor, x: Tensor) -> Tensor:
    """Those rows of `gathered` that stand where `gather` puts the rows of `x`."""
    if replica_count() == 1:
        return gathered
    return ops.take(gathered, rows_before(x) + ops.arange(ops.shape(x)[0], dtype="int32"), axis=0)


def rows_before(x: Tensor) -> Tensor | int:
    """How many rows of `gather(x)` stand before those of `x`."""
    if replica_count() == 1:
        return 0
    rows = ops.reshape(ops.cast(ops.shape(x)[0], "int32"), (1,))
    return ops.sum(gather(rows)[: replica_index()])


def mean_over_replicas(x: Tensor) -> Tensor:
    """The mean of a tensor over the replicas, each of which has one of the same shape."""
    return x if replica_count() == 1 else ops.mean(gather(x[None]), axis=0)


__all__ = [
    "add_at",
    "compiled",
    "gather",
    "has_accelerator",
    "map_chunks",
    "mean_over_replicas",
    "own_rows",
    "random_state",
    "replica_count",
    "replica_index",
    "rows_before",
    "scan",
    "set_at",
    "set_random_state",
    "two_gradient_step",
    "untraced",
    "value_and_grad",
]
