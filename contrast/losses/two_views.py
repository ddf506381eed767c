"""Losses of two views that are functions of the batch's statistics, not sums over samples."""

from typing import Any

import keras
from keras import ops

from contrast import backend
from contrast.losses.inputs import as_views
from contrast.typing import Tensor


class TwoViewStatistics(keras.losses.Loss):
    """Base of the losses of two views that compare moments over the batch.

    A subclass implements `call(a, b, weights)` for the two views, float32 `(batch, dim)`, and weights
    `(batch,)`, and returns a scalar. A sample of weight 2 counts as two equal samples, one of weight 0 is not
    there. Ids, if given, say nothing.

    Args:
        name: name of the loss.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name, reduction="none")
        self._dtype = "float32"

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Tensor | None = None) -> Tensor:
        """Computes the loss; on several replicas that of the global batch.

        Args:
            y_true: not read; `None`.
            y_pred: float tensor `(batch, 2, dim)`, or a pair of tensors `(batch, dim)`.
            sample_weight: float tensor `(batch,)`, or `None`.

        Returns:
            A float32 scalar.

        Raises:
            ValueError: if shapes do not fit together, or the batch holds one sample. Where the batch is
                unknown when a step is traced, a batch of one has variance 0.
        """
        with keras.name_scope(self.name):
            y_pred = as_views(y_pred)
            if y_pred.shape[1] != 2:
                raise ValueError(f"{self.name} needs two views, got y_pred of shape {tuple(y_pred.shape)}.")
            if y_pred.shape[0] == 1 and backend.replica_count() == 1:
                raise ValueError(
                    f"{self.name} takes statistics over the batch, which needs at least two samples, got "
                    "a batch of one."
                )
            if sample_weight is None:
                weights = ops.ones((ops.shape(y_pred)[0],), "float32")
            else:
                weights = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
            y_pred, weights = backend.gather(y_pred), backend.gather(weights)
            return self.call(y_pred[:, 0], y_pred[:, 1], weights) / backend.replica_count()

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def weighted_mean(x: Tensor, weights: Tensor) -> Tensor:
    """The mean of the rows of x, `(dim,)`."""
    return ops.divide_no_nan(ops.sum(weights[:, None] * x, axis=0), ops.sum(weights))


def off_diagonal(matrix: Tensor) -> Tensor:
    """The matrix with zeros on its diagonal."""
    return matrix * (1.0 - ops.eye(matrix.shape[0], dtype=matrix.dtype))
