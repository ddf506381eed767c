from typing import Any, Self

import keras
from keras import ops

from contrast.losses.base import check_choice
from contrast.losses.metric_loss import MetricLoss
from contrast.losses.miners import HardestPairs, Miner
from contrast.losses.pair_contrastive import AVERAGES
from contrast.ops import (
    TILE_SIZE,
    TRIPLETS,
    Pairs,
    map_row_tiles,
    paired_distances,
    pairwise_distances,
    triplet_sums,
)
from contrast.typing import Tensor, TileSize

SOFT = "soft"


@keras.saving.register_keras_serializable(package="contrast")
class TripletMargin(MetricLoss):
    r"""Each positive of an anchor must be nearer than each negative, by a margin.

    For anchor i, positive p and negative n,
    $$\ell_{ipn} = [d_{ip} - d_{in} + m]_+ \qquad \text{or, with } m = \text{"soft"}, \qquad
    \log(1 + e^{d_{ip} - d_{in}}).$$

    Use it when distances themselves matter, as for a threshold of verification. It needs several samples of
    each class in a batch; see `contrast.data.ClassBalancedBatches`. Smooth losses over all pairs, such as
    `MultiSimilarity`, need less tuning.

    All triplets cost one sort of an anchor's distances; they are never made one by one. The
    loss is 0 where all classes of a batch are one, or all differ.

    Args:
        margin: a float $m$, at least 0; or `"soft"`, with one triplet an anchor only.
        mining: `"all"`: all triplets; `"semi_hard"`: those that violate the margin and whose negative is
            farther than the positive; `"hard"`: one triplet an anchor, its farthest positive and nearest
            negative (batch hard); or an object of `contrast.losses.miners`: a `HardestPairs` makes one
            triplet an anchor, another all triplets of the pairs that it keeps.
        average: `"nonzero"`: the mean runs over triplets above zero, as in pytorch-metric-learning; `"all"`:
            over all triplets that were mined.
        distance, normalize, tile_size, reduction, name: see `MetricLoss`. With `reduction="none"` an anchor's
            loss is the sum over its triplets.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Raises:
        ValueError: if the margin is negative, or soft with several triplets an anchor.

    Example:

    >>> loss = contrast.losses.TripletMargin(margin=0.2, mining="hard")
    >>> float(loss(np.array([0, 0, 1]), np.eye(2)[[0, 0, 1]][:, None]))
    0.0

    References: [Schroff et al., 2015](https://arxiv.org/abs/1503.03832), equation 1;
        [Hermans et al., 2017](https://arxiv.org/abs/1703.07737) for batch hard and the soft margin.
    """

    def __init__(
        self,
        margin: float | str = 0.2,
        mining: Miner | str = "all",
        average: str = "nonzero",
        distance: str = "euclidean",
        normalize: bool = True,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "triplet_margin",
    ) -> None:
        if isinstance(mining, str):
            check_choice("mining", mining, TRIPLETS)
        one_each = isinstance(mining, HardestPairs) or mining == "hard"
        super().__init__(
            distance, normalize, None if isinstance(mining, str) else mining, tile_size, reduction, name
        )
        check_choice("average", average, AVERAGES)
        if isinstance(margin, str):
            check_choice("margin", margin, (SOFT,))
            if not one_each:
                raise ValueError(
                    "margin 'soft' needs one triplet an anchor: mining must be 'hard' or a HardestPairs, "
                    f"got {mining!r}."
                )
        elif not margin >= 0:
            raise ValueError(f"margin must be at least 0 or 'soft', got {margin}.")
        self.margin: Any = margin
        self.mining: Any = mining
        self.average = average
        self._one_each = (HardestPairs() if mining == "hard" else mining) if one_each else None

    def anchor_losses(
        self, rows: Tensor, columns: Tensor | None, pairs: Pairs, row_negatives: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if self._one_each is None:
            return super().anchor_losses(rows, columns, pairs)

        def mined(some, columns, positives, negatives):
            distances = pairwise_distances(some, columns, self.distance)
            found = self._one_each.indices(distances, positives, negatives)
            return [ops.cast(x, "float32") for x in found]

        fixed = [None if x is None else ops.stop_gradient(x) for x in (rows, columns)]
        chosen = ops.cast(map_row_tiles(mined, fixed[0], fixed[1], pairs, tile_size=self.tile_size), "int32")
        columns = rows if columns is None else columns
        positives, negatives = (ops.take(columns, chosen[:, index], axis=0) for index in (0, 1))
        violations = paired_distances(rows, positives, self.distance) - self.negative_distances(
            rows, positives, negatives
        )
        losses = ops.softplus(violations) if self.margin == SOFT else ops.relu(violations + self.margin)
        found = ops.greater(chosen[:, 2], 0)
        counts = ops.logical_and(found, ops.greater(losses, 0)) if self.average == "nonzero" else found
        return ops.where(found, losses, 0.0), ops.cast(counts, "float32")

    def negative_distances(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """How far the negative of each triplet is, `(rows,)`, of three tensors `(rows, dim)`."""
        return paired_distances(anchors, negatives, self.distance)

    def row_terms(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        kind = self.mining if isinstance(self.mining, str) else "all"
        violation, active, triplets = triplet_sums(distances, positives, negatives, self.margin, kind)
        return violation, active, active if self.average == "nonzero" or kind == "semi_hard" else triplets

    def losses_and_counts(self, violation: Tensor, active: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        return violation / ops.maximum(counts, 1.0), counts

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        miner = config.pop("miner")
        mining = self.mining if miner is None else miner
        return {**config, "margin": self.margin, "mining": mining, "average": self.average}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if isinstance(config.get("mining"), dict):
            config = {**config, "mining": keras.saving.deserialize_keras_object(config["mining"])}
        return cls(**config)
