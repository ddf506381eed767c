from typing import Any

import keras
from keras import ops

from contrast.typing import Tensor


class MeanOfEmbeddings(keras.metrics.Metric):
    """Base of the metrics that are a sum over something divided by its weight.

    A subclass implements `sums(y_true, views, weights)`: the weighted sum over a batch and the weight. The
    result is NaN until something has been counted.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.total = self.add_variable((), "zeros", dtype="float32", name="total")
        self.count = self.add_variable((), "zeros", dtype="float32", name="count")

    def update_state(self, y_true: Tensor | None, y_pred: Any, sample_weight: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            y_true: what the subclass reads; may be `None`.
            y_pred: float tensor `(batch, views, dim)`, or a pair of tensors `(batch, dim)`.
            sample_weight: float tensor `(batch,)`, or `None`.
        """
        views = embedding_views(y_pred)
        total, count = self.sums(y_true, views, sample_weights(sample_weight, views))
        self.total.assign(self.total + total)
        self.count.assign(self.count + count)

    def result(self) -> Tensor:
        return ops.convert_to_tensor(self.total) / ops.convert_to_tensor(self.count)


def embedding_views(y_pred: Any) -> Tensor:
    """`y_pred` as float32 tensor `(batch, views, dim)`; a ValueError if it is anything else."""
    if isinstance(y_pred, list | tuple):
        pair = [vectors(x, "y_pred") for x in y_pred]
        shapes = [tuple(x.shape) for x in pair]
        if len(pair) != 2 or shapes[0] != shapes[1]:
            raise ValueError(f"y_pred as a pair must be two tensors (batch, dim), got shapes {shapes}.")
        return ops.stack(pair, axis=1)
    y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    if len(y_pred.shape) != 3:
        raise ValueError(
            f"y_pred must be (batch, views, dim), got shape {tuple(y_pred.shape)}; a single view is "
            "(batch, 1, dim)."
        )
    if y_pred.shape[0] == 0:
        raise ValueError("y_pred holds an empty batch.")
    return y_pred


def vectors(x: Tensor, name: str) -> Tensor:
    """`x` as float32 tensor `(n, dim)` with n > 0; a ValueError that names it otherwise."""
    x = ops.cast(ops.convert_to_tensor(x), "float32")
    if len(x.shape) != 2:
        raise ValueError(f"{name} must be (n, dim), got shape {tuple(x.shape)}.")
    if x.shape[0] == 0:
        raise ValueError(f"{name} is empty, of shape {tuple(x.shape)}.")
    return x


def sample_weights(sample_weight: Tensor | None, views: Tensor) -> Tensor:
    """Weights as float32 tensor `(batch,)`; ones where there are none."""
    if sample_weight is None:
        return ops.ones_like(views[:, 0, 0])
    return ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
