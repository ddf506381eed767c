import keras
import numpy as np
from keras import ops

from contrast.typing import Tensor


def shift_right(ids: Tensor, start_id: int | Tensor) -> Tensor:
    """What the decoder reads when it learns to write `ids`: everything moved one place to the right.

    Where a text is shorter than the array, its last token moves to a place whose target is padding and where
    no loss is taken; every place behind stays padding.

    Args:
        ids: integers `(batch, length)`, the targets, padded behind.
        start_id: the token in front: an int, or integers `(batch,)`, one for each text.

    Returns:
        int32 tensor `(batch, length)`.

    Raises:
        ValueError: if `ids` are not integers of shape `(batch, length)`, or `start_id` is neither one number
            nor one number a text.

    Example:

    >>> ids = np.array([[7, 5, 2, 0, 0], [9, 2, 0, 0, 0]])
    >>> print(keras.ops.convert_to_numpy(contrast.decoding.shift_right(ids, start_id=1)))
    [[1 7 5 2 0]
     [1 9 2 0 0]]
    """
    ids = integer_ids("ids", ids)
    start = ops.cast(ops.convert_to_tensor(start_id), "int32")
    if len(start.shape) > 1 or (
        len(start.shape) == 1
        and None not in (start.shape[0], ids.shape[0])
        and start.shape[0] != ids.shape[0]
    ):
        raise ValueError(
            f"start_id must be one id, or one for each of {ids.shape[0]} texts, got {tuple(start.shape)}."
        )
    start = ops.broadcast_to(ops.reshape(start, (-1, 1)), (ops.shape(ids)[0], 1))
    return ops.concatenate([start, ids[:, :-1]], axis=1)


def last_tokens(ids: Tensor, padding_id: int = 0) -> Tensor:
    """The last token of each text that is not padding; padding for a text of padding only.

    Some multilingual models end each text with its language and start the decoder with the same token:
    `shift_right(ids, last_tokens(ids))`.

    Args:
        ids: integers `(batch, length)`, padded behind.
        padding_id: the id of padding.

    Returns:
        int32 tensor `(batch,)`.

    Raises:
        ValueError: if `ids` are not integers of shape `(batch, length)`.

    Example:

    >>> ids = np.array([[7, 5, 2, 0], [9, 3, 0, 0]])
    >>> print(keras.ops.convert_to_numpy(contrast.decoding.last_tokens(ids)))
    [2 3]

    Reference: [Liu et al., 2020](https://arxiv.org/abs/2001.08210), section 2.2.
    """
    ids = integer_ids("ids", ids)
    real = ops.cast(ops.not_equal(ids, padding_id), "int32")
    places = ops.max(real * ops.arange(ops.shape(ids)[1], dtype="int32"), axis=1, keepdims=True)
    return ops.take_along_axis(ids, places, axis=1)[:, 0]


def integer_ids(name: str, ids: Tensor) -> Tensor:
    """`ids` as int32 tensor `(batch, length)`, or an error that names them."""
    ids = np.asarray(ids) if isinstance(ids, list | tuple) else ids
    dtype = keras.backend.standardize_dtype(ids.dtype)
    if len(ids.shape) != 2 or "int" not in dtype:
        raise ValueError(f"{name} must be integers (batch, length), got {dtype} of shape {tuple(ids.shape)}.")
    return ops.cast(ops.convert_to_tensor(ids), "int32")
