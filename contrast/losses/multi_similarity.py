from typing import Any

import keras
from keras import ops

from contrast.losses.metric_loss import MetricLoss
from contrast.losses.miners import Miner, MultiSimilarityMiner
from contrast.ops import TILE_SIZE, masked_log_sum_exp
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class MultiSimilarity(MetricLoss):
    r"""Each pair counts by its own similarity and by how it stands to the other pairs of its anchor.

    With cosines $s_{ij}$ and the pairs $P_i$, $N_i$ that the miner keeps,
    $$\ell_i = \frac{1}{\alpha} \log\Big(1 + \sum_{p \in P_i} e^{-\alpha (s_{ip} - \lambda)}\Big) +
    \frac{1}{\beta} \log\Big(1 + \sum_{n \in N_i} e^{\beta (s_{in} - \lambda)}\Big).$$

    Use it as the first choice among losses over pairs: it trains well with the paper's values. An anchor
    without a kept pair counts as 0 in the mean, as in the official code. The miner keeps nothing where
    all classes of a batch are one, or all differ; without it there remains what pulls or pushes.

    Args:
        alpha, beta: positive floats, the scale of positives and of negatives.
        base: the float $\lambda$.
        miner: which pairs count; `"default"` is `MultiSimilarityMiner(0.1)`, as in the paper; `None`: all.
        tile_size, reduction, name: see `ContrastiveLoss`.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Example:

    >>> loss = contrast.losses.MultiSimilarity()
    >>> labels, embeddings = np.array([0, 0, 1, 1]), np.repeat(np.eye(2), 2, axis=0)[:, None]
    >>> float(loss(labels, embeddings))
    0.0

    Reference: [Wang et al., 2019](https://arxiv.org/abs/1904.06627), equation 15.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        miner: Miner | str | None = "default",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "multi_similarity",
    ) -> None:
        chosen: Any = MultiSimilarityMiner() if miner == "default" else miner
        super().__init__("cosine", True, chosen, tile_size, reduction, name)
        if not (alpha > 0 and beta > 0):
            raise ValueError(f"alpha and beta must be positive, got {alpha} and {beta}.")
        self.alpha, self.beta, self.base = alpha, beta, base

    def row_terms(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        excess = (1.0 - distances) - self.base
        pull = ops.softplus(masked_log_sum_exp(-self.alpha * excess, positives)) / self.alpha
        push = ops.softplus(masked_log_sum_exp(self.beta * excess, negatives)) / self.beta
        return pull + push, ops.ones_like(pull)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["distance"], config["normalize"]
        return {**config, "alpha": self.alpha, "beta": self.beta, "base": self.base}
