"""What the losses over ids take, checked."""

import keras
import numpy as np
from keras import ops

from contrast.ops.shapes import agree
from contrast.typing import Tensor


def integer_ids(ids: Tensor | None, batch: int | None, name: str = "y_true") -> Tensor | None:
    """Ids as tensor `(batch,)` of at least 32 bits, or `None`; errors that say what is wrong otherwise."""
    if ids is None:
        return None
    kind = np.asarray(ids).dtype.kind if isinstance(ids, list | tuple | np.ndarray) else None
    dtype = None if kind in ("U", "S", "O") else keras.backend.standardize_dtype(_tensor(ids).dtype)
    if dtype is None or "int" not in dtype:
        raise TypeError(
            f"{name} must hold integer ids, got {dtype or 'strings or objects'}. Number the labels "
            "first, for example with np.unique(labels, return_inverse=True)[1]."
        )
    ids = _tensor(ids)
    if len(ids.shape) == 2 and ids.shape[1] == 1:
        ids = ops.squeeze(ids, 1)
    if "8" in dtype or "16" in dtype:
        ids = ops.cast(ids, "int32")  # -1, which a queue gives to what has no id, would be a class in uint8
    if not agree(ids.shape, (batch,)):
        raise ValueError(f"{name} must have shape ({batch},), one id a sample, got {tuple(ids.shape)}.")
    return ids


def _tensor(x):
    return x if hasattr(x, "dtype") and not isinstance(x, np.ndarray) else ops.convert_to_tensor(x)


def as_views(y_pred: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """`y_pred` as float32 tensor `(batch, views, dim)`, pairs stacked; errors that say what is wrong."""
    if isinstance(y_pred, list | tuple):
        pair = [ops.cast(ops.convert_to_tensor(x), "float32") for x in y_pred]
        shapes = [tuple(x.shape) for x in pair]
        if len(pair) != 2 or len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][1] != shapes[1][1]:
            raise ValueError(f"y_pred as a pair must be two tensors (batch, dim), got shapes {shapes}.")
        if not agree(*shapes):
            raise ValueError(
                f"queries and keys must have the same batch, got shapes {shapes}; give keys without a query "
                "as negatives."
            )
        y_pred = ops.stack(pair, axis=1)
    y_pred = ops.cast(_tensor(y_pred), "float32")
    if len(y_pred.shape) != 3:
        raise ValueError(
            f"y_pred must be (batch, views, dim), got shape {tuple(y_pred.shape)}; a single view is "
            "(batch, 1, dim)."
        )
    if y_pred.shape[0] == 0:
        raise ValueError("y_pred holds an empty batch.")
    return y_pred
