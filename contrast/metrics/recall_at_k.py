from typing import Any

import keras
from keras import ops

from contrast.losses.base import integer_ids
from contrast.metrics.embedding_metric import MeanOfEmbeddings, vectors
from contrast.ops import l2_normalize
from contrast.typing import Tensor

TIE = 1e-6  # cosines of equal vectors differ by rounding


def recall_at_k(queries: Tensor, keys: Tensor, k: int = 1, ids: Tensor | None = None) -> Tensor:
    """The share of queries that have a positive among their k most similar keys, by cosine.

    A negative that is as similar as the best positive stands before it: embeddings that are all alike score
    0, not 1. Further positives of a query take no place.

    Args:
        queries, keys: float tensors `(n, dim)`; key i is the positive of query i.
        k: from 1 to n.
        ids: int tensor `(n,)`: keys of an equal id are positives too; `None`: key i alone.

    Returns:
        A float32 scalar in [0, 1]. A query whose similarities are NaN has no hit.

    Raises:
        ValueError: if shapes differ, are no matrices or empty, or k is no int from 1 to n.
        TypeError: if ids are no integers.

    Example:

    >>> keys = np.eye(3)
    >>> round(float(contrast.metrics.recall_at_k(keys[[0, 2, 2]], keys)), 3)
    0.667
    """
    queries, keys = vectors(queries, "queries"), vectors(keys, "keys")
    if tuple(queries.shape) != tuple(keys.shape):
        raise ValueError(
            f"queries and keys must have the same shape, got {tuple(queries.shape)} and {tuple(keys.shape)}."
        )
    k = _checked(k)
    if keys.shape[0] is not None and k > keys.shape[0]:
        raise ValueError(f"k must be at most the number of keys, {keys.shape[0]}, got {k}.")
    return ops.mean(_hits(queries, keys, k, integer_ids(ids, queries.shape[0])))


@keras.saving.register_keras_serializable(package="contrast")
class RecallAtK(MeanOfEmbeddings):
    """`contrast.metrics.recall_at_k` of view 0 (queries) among view 1 (keys) of the same batch.

    The number depends on the batch size: it is a score of the training task, not of retrieval in a gallery.
    Batches of k samples or fewer, where every query has a hit, are left out; the result is NaN until a batch
    was counted.

    Args:
        k: positive int.
        name: of the metric; by default `recall_at_<k>`.

    Inputs: `y_pred` is `(batch, 2, dim)`, or a pair; `y_true` is `(batch,)` integer ids, of which equal ones
        are positives, or `None`. `sample_weight` weights the queries.

    Raises:
        ValueError: if k is no positive int, there are not two views, or the batch is empty.
        TypeError: if ids are no integers.

    Example:

    >>> metric = contrast.metrics.RecallAtK(1)
    >>> metric.update_state(None, np.stack([np.eye(3), np.eye(3)], axis=1))
    >>> float(metric.result())
    1.0
    """

    def __init__(self, k: int = 1, name: str | None = None) -> None:
        super().__init__(name or f"recall_at_{k}")
        self.k = _checked(k)

    def sums(self, y_true: Tensor | None, views: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        if views.shape[1] != 2:
            raise ValueError(
                f"{self.name} needs two views, queries and keys, got y_pred of shape {tuple(views.shape)}."
            )
        ids = integer_ids(y_true, views.shape[0])
        weights = weights * ops.cast(ops.shape(views)[0] > self.k, "float32")
        return ops.sum(weights * _hits(views[:, 0], views[:, 1], self.k, ids)), ops.sum(weights)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, "name": self.name}


def _hits(queries, keys, k, ids):
    """1 for each query with a hit, else 0."""
    similarity = ops.matmul(l2_normalize(queries), ops.transpose(l2_normalize(keys)))
    numbers = ops.arange(ops.shape(similarity)[0])
    positive = ops.equal(numbers[:, None], numbers[None, :])
    if ids is not None:
        positive = ops.logical_or(positive, ops.equal(ids[:, None], ids[None, :]))
    best = ops.max(ops.where(positive, similarity, -2.0), axis=1, keepdims=True)
    # Asked so that NaN, which compares as false, stands before the positive.
    behind = ops.logical_or(positive, similarity < best - TIE)
    before = ops.sum(ops.cast(ops.logical_not(behind), "int32"), axis=1)
    found = ops.logical_and(before < k, ops.logical_not(ops.isnan(best[:, 0])))
    return ops.cast(found, "float32")


def _checked(k):
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a positive int, got {k!r}.")
    return k
