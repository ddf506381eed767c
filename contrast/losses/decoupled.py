from dataclasses import replace
from typing import Any

import keras
from keras import ops

from contrast.losses.base import check_choice
from contrast.losses.negatives import References
from contrast.losses.one_sided import OneSided
from contrast.ops import TILE_SIZE, Pairs, row_statistics
from contrast.typing import Tensor, TileSize

WEIGHTINGS = (None, "von_mises")


@keras.saving.register_keras_serializable(package="contrast")
class DecoupledContrastive(OneSided):
    r"""NT-Xent without the positive in the denominator, so that easy positives do not weaken the gradient.

    For the views of N samples and logits $s_{ij} = z_i \cdot z_j / \tau$, view i with partner j has
    $$\ell_i = -w_i s_{ij} + \log \sum_{k \in N_i} e^{s_{ik}},$$
    where $N_i$ are all views of the other samples. $w_i = 1$ (DCL), or, with `weighting="von_mises"` (DCLW),
    $$w_i = 2 - \frac{e^{z_i \cdot z_j / \sigma}}{\frac{1}{2N} \sum_{i'} e^{z_{i'} \cdot z_{j'} / \sigma}},$$
    which is larger where the two views are far apart. The weights are constants to the gradient.

    Use it in place of `NTXent` where batches are small. Several positives of an anchor (more views, equal
    ids) are averaged: $s_{ij}$ is then their mean. The loss can be negative. An anchor without a negative, as
    in a batch of one, leaves the mean.

    Args:
        temperature: positive float, or a `contrast.layers.Temperature` that the model owns.
        weighting: `None` or `"von_mises"`.
        sigma: positive float $\sigma$ of the weighting.
        same_id: what views of other samples with an equal id are: `"positive"`, or `"ignore"`: neither
            positive nor negative.
        normalize, no_positive, tile_size, reduction, name: see `ContrastiveLoss`.

    Inputs: `y_pred` is `(batch, views, dim)` with at least two views, or a pair; `y_true` is `(batch,)`
    integer ids or `None`.

    Raises:
        ValueError: if there is one view and no id, so that nothing has a positive.

    Example:

    >>> loss = contrast.losses.DecoupledContrastive(temperature=0.1, weighting="von_mises")
    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8))
    >>> tuple(loss(None, views).shape)
    ()

    Reference: [Yeh et al., 2022](https://arxiv.org/abs/2110.06848), equations 6 and 7.
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.1,
        weighting: str | None = None,
        sigma: float = 0.5,
        same_id: str = "positive",
        normalize: bool = True,
        no_positive: str = "skip",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "decoupled_contrastive",
    ) -> None:
        super().__init__(temperature, normalize, no_positive, tile_size, reduction, name)
        check_choice("weighting", weighting, WEIGHTINGS)
        check_choice("same_id", same_id, ("positive", "ignore"))
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}.")
        self.weighting, self.sigma, self.same_id = weighting, sigma, same_id

    def call(
        self,
        ids: Tensor | None,
        y_pred: Tensor,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        return self.view_losses(
            ids,
            y_pred,
            negatives,
            candidate_mask,
            references=references,
            ignore_same_id=self.same_id == "ignore",
        )

    def anchor_losses(
        self, rows: Tensor, columns: Tensor | None, pairs: Pairs, row_negatives: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        pairs = self.without_lonely_columns(pairs, rows, columns)
        statistics = row_statistics(
            rows, columns, replace(pairs, negatives_only=True), tile_size=self.tile_size
        )
        log_negatives, positives, weight = statistics
        if row_negatives is not None:
            log_negatives = ops.logaddexp(log_negatives, ops.logsumexp(row_negatives, axis=1))
        is_alone = ops.less(log_negatives, -1e29)  # no negative; the comparison lets NaN through
        counts = ops.logical_and(ops.greater(weight, 0), ops.logical_not(is_alone))
        positives = positives / ops.where(counts, weight, 1.0)
        if self.weighting is not None:
            positives = positives * self.von_mises_weights(positives, counts)
        return ops.where(counts, log_negatives - positives, 0.0), counts

    def von_mises_weights(self, logits: Tensor, counts: Tensor) -> Tensor:
        """The $w_i$ of the anchors' positive logits `(rows,)`, without gradient."""
        cosines = self.scale(ops.stop_gradient(logits), -1.0)
        log_weights = ops.where(counts, cosines / self.sigma, -1e30)
        number = ops.maximum(ops.sum(ops.cast(counts, "float32")), 1.0)
        return ops.stop_gradient(2.0 - number * ops.softmax(log_weights))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "weighting": self.weighting,
            "sigma": self.sigma,
            "same_id": self.same_id,
        }
