from typing import Any

import keras
from keras import ops

from contrast.losses.base import check_choice
from contrast.losses.metric_loss import MetricLoss, count_of
from contrast.losses.miners import Miner
from contrast.ops import TILE_SIZE
from contrast.typing import Tensor, TileSize

AVERAGES = ("nonzero", "all")


@keras.saving.register_keras_serializable(package="contrast")
class PairContrastive(MetricLoss):
    r"""The classic contrastive loss: pairs of one id come closer, others go beyond a margin.

    With $P$ all pairs of an anchor and a positive, $N$ those of an anchor and a negative, and the power $k$,
    $$\ell = \frac{1}{|P|} \sum_{P} [d_{ij} - m_+]_+^k + \frac{1}{|N|} \sum_{N} [m - d_{ij}]_+^k.$$

    Use it as the plain baseline of metric learning. With triplets, whose distances are compared with one
    another rather than with a fixed margin, use `TripletMargin`. Not to be confused with `ContrastiveLoss`,
    the base of all losses over ids.

    `power=2` is the paper's loss without its factor of one half; `power=1` and `average="nonzero"` are that
    of pytorch-metric-learning, whose margins for cosines are 1 minus those here. With one class in the batch
    positives alone are pulled, with all classes distinct negatives alone are pushed.

    Args:
        margin: the positive float $m$.
        positive_margin: the float $m_+$, below which positives are close enough.
        power: 1 or 2.
        average: `"nonzero"`: $|P|$ and $|N|$ count the pairs whose term is above zero; `"all"`: every pair.
        distance, normalize, miner, tile_size, reduction, name: see `MetricLoss`. With `reduction="none"` an
            anchor's loss is its share, scaled so that their mean over anchors that have a pair is the loss.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Example:

    >>> loss = contrast.losses.PairContrastive(margin=1.0)
    >>> float(loss(np.array([0, 0, 1]), np.eye(2)[[0, 0, 1]][:, None]))
    0.0

    Reference: Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR
        2006, equation 4.
    """

    def __init__(
        self,
        margin: float = 1.0,
        positive_margin: float = 0.0,
        power: int = 2,
        average: str = "nonzero",
        distance: str = "euclidean",
        normalize: bool = True,
        miner: Miner | None = None,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "pair_contrastive",
    ) -> None:
        super().__init__(distance, normalize, miner, tile_size, reduction, name)
        if not margin > 0:
            raise ValueError(f"margin must be positive, got {margin}.")
        check_choice("power", power, (1, 2))
        check_choice("average", average, AVERAGES)
        self.margin, self.positive_margin, self.power, self.average = margin, positive_margin, power, average

    def row_terms(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        return (
            *self._sum_and_count(distances - self.positive_margin, positives),
            *self._sum_and_count(self.margin - distances, negatives),
            count_of(ops.logical_or(positives, negatives)),
        )

    def losses_and_counts(
        self,
        positive: Tensor,
        positive_count: Tensor,
        negative: Tensor,
        negative_count: Tensor,
        pairs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        counts = ops.cast(ops.greater(pairs, 0), "float32")
        losses = positive / _at_least_one(positive_count) + negative / _at_least_one(negative_count)
        return losses * ops.sum(counts), counts

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "margin": self.margin,
            "positive_margin": self.positive_margin,
            "power": self.power,
            "average": self.average,
        }

    def _sum_and_count(self, violations, mask):
        violations = ops.where(mask, ops.relu(violations), 0.0)
        counted = ops.greater(violations, 0) if self.average == "nonzero" else mask
        terms = ops.square(violations) if self.power == 2 else violations
        return ops.sum(terms, axis=1), count_of(counted)


def _at_least_one(counts):
    return ops.maximum(ops.sum(counts), 1.0)
