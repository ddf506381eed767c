from typing import Any

import keras

from contrast.losses.base import SAME_ID, check_choice
from contrast.losses.negatives import References
from contrast.losses.one_sided import OneSided
from contrast.ops import TILE_SIZE
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class NTXent(OneSided):
    r"""Normalised temperature-scaled cross-entropy: each view finds its sample's other view among all others.

    For the $2N$ views of $N$ samples and logits $s_{ij} = z_i \cdot z_j / \tau$, view i with partner j has
    $$\ell_i = -\log \frac{e^{s_{ij}}}{\sum_{k \ne i} e^{s_{ik}}}.$$

    Use it for two augmented views of unlabelled data (SimCLR). Where queries and keys come from different
    encoders use `InfoNCE`; where ids are classes, `SupervisedContrastive`. A batch of one sample has loss 0.

    Args:
        temperature: positive float, or a `contrast.layers.Temperature` that the model owns.
        same_id: what views of other samples with an equal id are, and how several positives are counted (more
            than two views are several positives, too): `"positive"`: each positive competes with the
            negatives alone, $\ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log \frac{e^{s_{ip}}}{e^{s_{ip}} +
            \sum_{n \notin P_i} e^{s_{in}}}$; `"shared"`: positives share the target mass and stand in the
            denominator, as in `SupervisedContrastive`; `"ignore"`: samples of equal id are neither positive
            nor negative, the sample's own views compete separately.
        normalize, no_positive, tile_size, reduction, name: see `ContrastiveLoss`.

    Inputs: `y_pred` is `(batch, views, dim)` with at least two views, or a pair; `y_true` is `(batch,)`
    integer ids or `None`.

    Raises:
        ValueError: if there is one view and no id, so that nothing has a positive.

    Example:

    >>> loss = contrast.losses.NTXent(temperature=0.5)
    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8))
    >>> tuple(loss(None, views).shape)
    ()

    Reference: [Chen et al., 2020](https://arxiv.org/abs/2002.05709), equation 1.
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.5,
        same_id: str = "positive",
        normalize: bool = True,
        no_positive: str = "skip",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "nt_xent",
    ) -> None:
        super().__init__(temperature, normalize, no_positive, tile_size, reduction, name)
        check_choice("same_id", same_id, SAME_ID)
        self.same_id = same_id

    def call(
        self,
        ids: Tensor | None,
        y_pred: Tensor,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        ignore = self.same_id == "ignore"
        one_positive = y_pred.shape[1] == 2 and (ids is None or ignore)
        return self.view_losses(
            ids,
            y_pred,
            negatives,
            candidate_mask,
            references=references,
            ignore_same_id=ignore,
            separate=self.same_id != "shared" and not one_positive,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "same_id": self.same_id}
