"""Miners: which of an anchor's pairs a loss is made of.

A miner is called with distances `(rows, columns)`, without gradient, and two masks of the same shape, the
positives and the negatives of each anchor; it returns the masks of those that it keeps.
"""

from collections.abc import Callable
from typing import Any, Self, TypeAlias

import keras
from keras import ops

from contrast.losses.base import check_choice
from contrast.typing import Tensor

Miner: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

_FAR = 3e38


@keras.saving.register_keras_serializable(package="contrast")
class HardestPairs:
    """One positive and one negative of each anchor.

    `"hard"` is the farthest positive or the nearest negative, `"easy"` the nearest positive or the farthest
    negative. A `"semi_hard"` negative is the nearest of those farther than the chosen positive; where all are
    nearer, the farthest (pytorch-metric-learning leaves such an anchor out, TensorFlow Similarity does as
    here). Of equal distances, up to rounding, the first one is taken. An anchor without a positive or without
    a negative has none.

    Use it for batch-hard triplets, with several samples of each class in a batch.

    Args:
        positive: `"hard"` or `"easy"`.
        negative: `"hard"`, `"semi_hard"` or `"easy"`.

    Call: `(distances, positives, negatives)` returns two masks. `indices(...)` of the same arguments returns
        the columns of the positive and of the negative, int32 `(rows,)`, and whether the anchor has both.

    Raises:
        ValueError: if an argument is outside what is listed here.

    Example:

    >>> loss = contrast.losses.TripletMargin(0.3, mining=contrast.losses.HardestPairs("easy", "hard"))

    Reference: [Hermans et al., 2017](https://arxiv.org/abs/1703.07737), equation 5.
    """

    def __init__(self, positive: str = "hard", negative: str = "hard") -> None:
        check_choice("positive", positive, ("hard", "easy"))
        check_choice("negative", negative, ("hard", "semi_hard", "easy"))
        self.positive, self.negative = positive, negative

    def __call__(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        positive, negative, found = self.indices(distances, positives, negatives)
        numbers = ops.arange(ops.shape(distances)[1], dtype="int32")[None, :]
        return tuple(
            ops.logical_and(found[:, None], ops.equal(numbers, column[:, None]))
            for column in (positive, negative)
        )

    def indices(
        self, distances: Tensor, positives: Tensor, negatives: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        chosen = _farthest if self.positive == "hard" else _nearest
        positive = chosen(distances, positives)
        if self.negative == "easy":
            negative = _farthest(distances, negatives)
        elif self.negative == "hard":
            negative = _nearest(distances, negatives)
        else:
            threshold = ops.take_along_axis(distances, positive[:, None], axis=1)
            beyond = ops.logical_and(negatives, ops.greater(distances, threshold))
            negative = ops.where(
                ops.any(beyond, axis=1), _nearest(distances, beyond), _farthest(distances, negatives)
            )
        found = ops.logical_and(ops.any(positives, axis=1), ops.any(negatives, axis=1))
        return positive, negative, found

    def get_config(self) -> dict[str, Any]:
        return {"positive": self.positive, "negative": self.negative}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


@keras.saving.register_keras_serializable(package="contrast")
class MultiSimilarityMiner:
    r"""Pairs that are not yet in order: positives farther than the nearest negative, negatives nearer than
    the farthest positive, up to a tolerance.

    $$d_{ip} + \epsilon > \min_n d_{in}, \qquad d_{in} - \epsilon < \max_p d_{ip}$$

    An anchor without a positive keeps no negative, and the other way round.

    Args:
        epsilon: the tolerance, of the loss's distance.

    Example:

    >>> loss = contrast.losses.MultiSimilarity(miner=contrast.losses.MultiSimilarityMiner(0.1))

    Reference: [Wang et al., 2019](https://arxiv.org/abs/1904.06627), equations 11 and 12.
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def __call__(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        nearest = ops.min(ops.where(negatives, distances, _FAR), axis=1, keepdims=True)
        farthest = ops.max(ops.where(positives, distances, -_FAR), axis=1, keepdims=True)
        return (
            ops.logical_and(positives, ops.greater(distances + self.epsilon, nearest)),
            ops.logical_and(negatives, ops.less(distances - self.epsilon, farthest)),
        )

    def get_config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def _farthest(distances, mask):
    farthest = ops.max(ops.where(mask, distances, -_FAR), axis=1, keepdims=True)
    return _first(ops.logical_and(mask, distances >= farthest - _rounding(distances, mask)))


def _nearest(distances, mask):
    nearest = ops.min(ops.where(mask, distances, _FAR), axis=1, keepdims=True)
    return _first(ops.logical_and(mask, distances <= nearest + _rounding(distances, mask)))


def _first(mask):
    return ops.cast(ops.argmax(ops.cast(mask, "float32"), axis=1), "int32")


def _rounding(distances, mask):
    """What float32 leaves of a difference of equal distances, `(rows, 1)`."""
    return 1e-6 * ops.max(ops.where(mask, ops.abs(distances), 0.0), axis=1, keepdims=True)
