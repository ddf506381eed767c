from typing import Any

import keras
from keras import ops

from contrast.losses.metric_loss import MetricLoss, any_of
from contrast.losses.miners import Miner
from contrast.ops import TILE_SIZE, masked_log_sum_exp
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class SoftNearestNeighbor(MetricLoss):
    r"""The chance that a neighbour, drawn by distance, is of another class.

    $$\ell_i = -\log \frac{\sum_{p \in P_i} e^{-d_{ip} / \tau}}{\sum_{j \ne i} e^{-d_{ij} / \tau}}$$

    Use it where a class may have several clusters: one near positive is enough. At a high temperature it
    looks at all pairs, at a low one at the nearest. With cosines it is `SupervisedContrastive(form="in")` up
    to a constant. With $\tau = 1$ and squared distances it is neighbourhood component analysis, `NCALoss` in
    pytorch-metric-learning. An anchor without a positive does not count; a batch of one class has loss 0.

    Args:
        temperature: the positive float $\tau$.
        distance, normalize, miner, tile_size, reduction, name: see `MetricLoss`.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Example:

    >>> loss = contrast.losses.SoftNearestNeighbor(temperature=0.1)
    >>> labels, embeddings = np.array([0, 0, 1, 1]), np.repeat(np.eye(2), 2, axis=0)[:, None]
    >>> float(loss(labels, embeddings)) < 1e-6
    True

    Reference: [Frosst et al., 2019](https://arxiv.org/abs/1902.01889), equation 1.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        distance: str = "squared_euclidean",
        normalize: bool = True,
        miner: Miner | None = None,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "soft_nearest_neighbor",
    ) -> None:
        super().__init__(distance, normalize, miner, tile_size, reduction, name)
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        self.temperature = temperature

    def row_terms(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        logits = -distances / self.temperature
        everyone = masked_log_sum_exp(logits, ops.logical_or(positives, negatives))
        found = any_of(positives)
        losses = ops.where(found > 0, everyone - masked_log_sum_exp(logits, positives), 0.0)
        return losses, found

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
