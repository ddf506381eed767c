from typing import Any

import keras
from keras import ops

from contrast.losses.miners import HardestPairs
from contrast.losses.triplet_margin import TripletMargin
from contrast.ops import TILE_SIZE, paired_distances
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class PN(TripletMargin):
    r"""Positive-negative loss: the negative must be far from the anchor and from the positive.

    With one positive p and one negative n of anchor i,
    $$\ell_i = [d_{ip} - \min(d_{in}, d_{pn}) + m]_+.$$

    Use it in place of `TripletMargin` where negatives crowd behind the positives. It is the triplet loss with
    the anchor swapped (`swap=True` in pytorch-metric-learning). TensorFlow Similarity's `PNLoss` is this loss
    with `average="all"`, but counts anchors without a positive, too.

    Args:
        margin: a float $m$, at least 0, or `"soft"`.
        positive: which positive, as for `HardestPairs`.
        negative: which negative, as for `HardestPairs`.
        average: `"all"`: the mean runs over all anchors that have a positive and a negative; `"nonzero"`:
            over those whose loss is above zero.
        distance, normalize, tile_size, reduction, name: see `MetricLoss`.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Example:

    >>> loss = contrast.losses.PN(margin=0.5)
    >>> float(loss(np.array([0, 0, 1]), np.eye(2)[[0, 0, 1]][:, None]))
    0.0

    References: [Szubert et al., 2019](https://doi.org/10.1038/s41598-019-45301-0);
        [Balntas et al., 2016](https://doi.org/10.5244/C.30.119) for the swap.
    """

    def __init__(
        self,
        margin: float | str = 1.0,
        positive: str = "hard",
        negative: str = "semi_hard",
        average: str = "all",
        distance: str = "cosine",
        normalize: bool = True,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "pn",
    ) -> None:
        mining = HardestPairs(positive, negative)
        super().__init__(margin, mining, average, distance, normalize, tile_size, reduction, name)

    def negative_distances(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        to_anchor = paired_distances(anchors, negatives, self.distance)
        to_positive = paired_distances(positives, negatives, self.distance)
        return ops.where(ops.less(to_positive, to_anchor), to_positive, to_anchor)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["mining"]
        return {**config, **self.mining.get_config()}
