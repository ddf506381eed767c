from typing import Any

import keras
import numpy as np
from keras import ops

from contrast.metrics.embedding_metric import embedding_views, sample_weights, vectors
from contrast.ops import l2_normalize
from contrast.typing import Tensor

EPSILON = float(np.finfo("float32").eps)


def effective_rank(x: Tensor, center: bool = False) -> Tensor:
    r"""How many directions embeddings use: the exponential of the entropy of their singular values.

    With singular values $\sigma_k$ of the matrix and $p_k = \sigma_k / \sum_l \sigma_l$,
    $$\exp \big( -\sum_k p_k \log p_k \big).$$

    It is `min(n, dim)` if all directions are used alike and 1 if the rank is 1. With embeddings of unseen
    data it is RankMe, which follows the accuracy of a linear probe.

    Args:
        x: float tensor `(n, dim)`. Take n of at least dim: the rank cannot exceed n.
        center: subtract the mean embedding first, so that what all embeddings share is no direction.

    Returns:
        A float32 scalar in [1, min(n, dim)]; 0 if nothing is left beyond rounding (all zero, or all alike
        with `center`); NaN if an embedding is not finite.

    Raises:
        ValueError: if `x` is no matrix or empty.

    Example:

    >>> round(float(contrast.metrics.effective_rank(np.eye(5))), 4)
    5.0

    References: [Roy and Vetterli, 2007](https://ieeexplore.ieee.org/document/7098875),
        [Garrido et al., 2023](https://arxiv.org/abs/2210.02885).
    """
    x = vectors(x, "x")
    finite = ops.all(ops.isfinite(x))
    x = ops.where(finite, x, ops.zeros_like(x))
    size = ops.max(ops.abs(x))
    x = x / ops.where(size > 0, size, ops.ones_like(size))
    rounding = 16 * EPSILON * ops.sqrt(ops.sum(ops.square(x)))
    if center:
        x = x - ops.mean(x, axis=0, keepdims=True)
    singular = ops.linalg.svd(x, full_matrices=False, compute_uv=False)
    return _exp_entropy(ops.where(singular > rounding, singular, ops.zeros_like(singular)), finite)


@keras.saving.register_keras_serializable(package="contrast")
class EffectiveRank(keras.metrics.Metric):
    """`contrast.metrics.effective_rank` of all embeddings of an epoch, all views together.

    The second moments `(dim, dim)` are summed over the batches in float32, so that the result is that of the
    whole epoch, not a mean over batches. Singular values below about 1e-3 of the norm of all, which moments
    in float32 cannot tell from rounding, count as 0. Under `fit` Keras asks for the result at every step,
    which costs an eigendecomposition of order dim cubed: for a dim above some hundreds measure after the
    epoch instead, with `contrast.metrics.effective_rank` or `contrast.callbacks.CollapseMonitor`. `y_true` is
    not read.

    Args:
        center: subtract the mean embedding.
        normalize: scale embeddings to unit length first.
        name: of the metric.

    Inputs: `y_pred` is `(batch, views, dim)`, or a pair. `sample_weight` weights the moments.

    Raises:
        ValueError: if the batch is empty, or dim changes between batches.

    Result: NaN before the first batch, and once an embedding was not finite.

    Example:

    >>> metric = contrast.metrics.EffectiveRank()
    >>> for row in np.eye(4):
    ...     metric.update_state(None, row[None, None])
    >>> round(float(metric.result()), 4)
    4.0
    """

    def __init__(self, center: bool = False, normalize: bool = False, name: str = "effective_rank") -> None:
        super().__init__(name=name, dtype="float32")
        self.center, self.normalize = center, normalize
        self.count = self.add_variable((), "zeros", dtype="float32", name="count")
        self.total: Any = None
        self.moments: Any = None

    def update_state(self, y_true: Tensor | None, y_pred: Any, sample_weight: Tensor | None = None) -> None:
        """Adds a batch; see `contrast.metrics.Alignment.update_state`."""
        views = embedding_views(y_pred)
        count, dim = views.shape[1:]
        if self.moments is None:
            self.total = self.add_variable((dim,), "zeros", dtype="float32", name="total")
            self.moments = self.add_variable((dim, dim), "zeros", dtype="float32", name="moments")
        if self.total.shape[0] != dim:
            raise ValueError(f"{self.name} has seen dim {self.total.shape[0]}, got {dim}.")
        weights = ops.repeat(sample_weights(sample_weight, views), count)
        rows = ops.reshape(l2_normalize(views) if self.normalize else views, (-1, dim))
        weighted = weights[:, None] * rows
        self.count.assign(self.count + ops.sum(weights))
        self.total.assign(self.total + ops.sum(weighted, axis=0))
        self.moments.assign(self.moments + ops.matmul(ops.transpose(weighted), rows))

    def result(self) -> Tensor:
        if self.moments is None:
            return ops.convert_to_tensor(float("nan"), "float32")
        moments = ops.convert_to_tensor(self.moments) / ops.convert_to_tensor(self.count)
        finite = ops.all(ops.isfinite(moments))
        moments = ops.where(finite, moments, ops.zeros_like(moments))
        rounding = 10 * EPSILON * ops.sum(ops.diagonal(moments))
        if self.center:
            mean = ops.convert_to_tensor(self.total) / ops.convert_to_tensor(self.count)
            mean = ops.where(finite, mean, ops.zeros_like(mean))
            moments = moments - mean[:, None] * mean[None, :]
        squares = ops.linalg.eigh(moments)[0]
        safe = ops.where(squares > rounding, squares, ops.ones_like(squares))
        return _exp_entropy(ops.where(squares > rounding, ops.sqrt(safe), ops.zeros_like(squares)), finite)

    def get_config(self) -> dict[str, Any]:
        return {"center": self.center, "normalize": self.normalize, "name": self.name}


def _exp_entropy(singular, finite):
    total = ops.sum(singular)
    share = singular / ops.where(total > 0, total, ops.ones_like(total))
    entropy = -ops.sum(share * ops.log(ops.where(share > 0, share, ops.ones_like(share))))
    rank = ops.where(total > 0, ops.exp(entropy), ops.zeros_like(entropy))
    return ops.where(finite, rank, ops.full_like(rank, float("nan")))
