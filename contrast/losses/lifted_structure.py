from typing import Any

import keras
from keras import ops

from contrast.losses.metric_loss import MetricLoss, any_of
from contrast.losses.miners import Miner
from contrast.ops import TILE_SIZE, masked_log_sum_exp
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class LiftedStructure(MetricLoss):
    r"""Lifted structure, generalised: smooth maxima over all positives and all negatives of an anchor.

    $$\ell_i = \Big[\log \sum_{p \in P_i} e^{d_{ip}} + \log \sum_{n \in N_i} e^{m - d_{in}}\Big]_+$$

    Use it where batch-hard triplets (`TripletMargin`) are too noisy: every pair counts, the hardest most. An
    anchor needs a positive and a negative to count: the loss is 0 where all classes are one, or all differ.
    (pytorch-metric-learning's `GeneralizedLiftedStructureLoss` counts such anchors with 0 in place of the
    logarithm that they lack.)

    Args:
        margin: the float $m$.
        distance, normalize, miner, tile_size, reduction, name: see `MetricLoss`.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Example:

    >>> loss = contrast.losses.LiftedStructure(margin=1.0)
    >>> labels, embeddings = np.array([0, 0, 1, 1]), np.repeat(np.eye(2), 2, axis=0)[:, None]
    >>> round(float(loss(labels, embeddings)), 4)
    0.2789

    References: [Song et al., 2016](https://arxiv.org/abs/1511.06452);
        [Hermans et al., 2017](https://arxiv.org/abs/1703.07737), equation 7.
    """

    def __init__(
        self,
        margin: float = 1.0,
        distance: str = "euclidean",
        normalize: bool = True,
        miner: Miner | None = None,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "lifted_structure",
    ) -> None:
        super().__init__(distance, normalize, miner, tile_size, reduction, name)
        self.margin = margin

    def row_terms(self, distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        pull = masked_log_sum_exp(distances, positives)
        push = masked_log_sum_exp(self.margin - distances, negatives)
        return ops.relu(pull + push), any_of(positives) * any_of(negatives)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin}
