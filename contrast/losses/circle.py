from typing import Any

import keras
from keras import ops

from contrast.losses.metric_loss import MetricLoss, any_of
from contrast.losses.miners import Miner
from contrast.ops import TILE_SIZE, masked_log_sum_exp
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class Circle(MetricLoss):
    r"""Pairs are pulled and pushed the harder, the farther they are from where they should be.

    With cosines $s_{ij}$ and weights $\alpha_{ip} = [1 + m - s_{ip}]_+$, $\alpha_{in} = [s_{in} + m]_+$
    through which no gradient flows,
    $$\ell_i = \log\Big(1 + \sum_{n \in N_i} e^{\gamma \alpha_{in} (s_{in} - m)}
    \sum_{p \in P_i} e^{-\gamma \alpha_{ip} (s_{ip} - 1 + m)}\Big).$$

    Use it where classes are fine-grained; see `MultiSimilarity` for a loss that asks for less tuning. An
    anchor needs a positive and a negative to count: the loss is 0 where all classes are one, or all differ.
    (pytorch-metric-learning leaves anchors out of the mean whose loss underflows to 0; here they count.)

    Args:
        margin: the float $m$; 0.4 suits retrieval, 0.25 faces.
        gamma: the positive scale; 80 suits retrieval, 256 faces.
        miner: see `MetricLoss`.
        tile_size, reduction, name: see `ContrastiveLoss`.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Example:

    >>> loss = contrast.losses.Circle()
    >>> labels, embeddings = np.array([0, 0, 1, 1]), np.repeat(np.eye(2), 2, axis=0)[:, None]
    >>> float(loss(labels, embeddings)) < 0.01
    True

    Reference: [Sun et al., 2020](https://arxiv.org/abs/2002.10857), equation 10.
    """

    def __init__(
        self,
        margin: float = 0.4,
        gamma: float = 80.0,
        miner: Miner | None = None,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "circle",
    ) -> None:
        super().__init__("cosine", True, miner, tile_size, reduction, name)
        if not gamma > 0:
            raise ValueError(f"gamma must be positive, got {gamma}.")
        self.margin, self.gamma = margin, gamma

    def row_terms(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        similarities = 1.0 - distances
        fixed = ops.stop_gradient(similarities)
        pull = -self.gamma * ops.relu(1.0 + self.margin - fixed) * (similarities - 1.0 + self.margin)
        push = self.gamma * ops.relu(fixed + self.margin) * (similarities - self.margin)
        losses = ops.softplus(masked_log_sum_exp(pull, positives) + masked_log_sum_exp(push, negatives))
        return losses, any_of(positives) * any_of(negatives)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["distance"], config["normalize"]
        return {**config, "margin": self.margin, "gamma": self.gamma}
