from typing import Any

import keras
from keras import ops

from contrast.losses.base import check_choice
from contrast.losses.negatives import References
from contrast.losses.one_sided import OneSided
from contrast.ops import TILE_SIZE
from contrast.ops.shapes import agree
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class SupervisedContrastive(OneSided):
    r"""All samples with the anchor's id are its positives.

    With $P_i$ the positives of anchor i, $A_i$ all candidates but i itself, weights $w$ (1 unless given) and
    logits $s_{ij} = z_i \cdot z_j / \tau$,
    $$\ell^{out}_i = -\frac{1}{\sum_{p \in P_i} w_{ip}} \sum_{p \in P_i} w_{ip} \log
    \frac{e^{s_{ip}}}{\sum_{a \in A_i} e^{s_{ia}}}, \qquad
    \ell^{in}_i = -\log \frac{\sum_{p \in P_i} w_{ip} e^{s_{ip}}}{\sum_{p \in P_i} w_{ip}
    \sum_{a \in A_i} e^{s_{ia}}}.$$

    Use it when ids are classes or groups. Where each sample is its own class, two views make it `NTXent`.
    With `no_positive="drop"` samples alone in their group are not even negatives of others.

    Args:
        temperature: positive float, or a `contrast.layers.Temperature` that the model owns.
        form: `"out"`, the mean over positives of the log (the better one in the paper), or `"in"`.
        normalize, no_positive, tile_size, reduction, name: see `ContrastiveLoss`.

    Inputs: `y_pred` is `(batch, views, dim)`, one view or more; `y_true` is `(batch,)` integer ids or `None`.
    Further call arguments: `positive_mask`, bool `(batch, batch)`, which says in place of the ids whose views
    are positives of whose; `pair_weights`, float `(batch, batch)` or `(batch,)`, at least 0, constants to the
    gradient.

    Raises:
        ValueError: if there is one view and neither id nor `positive_mask`, so that nothing has a positive;
            or `positive_mask` or `pair_weights` has another shape.

    Example:

    >>> loss = contrast.losses.SupervisedContrastive()
    >>> labels, embeddings = np.array([0, 0, 1, 1]), np.repeat(np.eye(2), 2, axis=0)[:, None]
    >>> float(loss(labels, embeddings)) < 0.01
    True

    Reference: [Khosla et al., 2020](https://arxiv.org/abs/2004.11362), equations 2 and 3.
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.1,
        form: str = "out",
        normalize: bool = True,
        no_positive: str = "skip",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "supervised_contrastive",
    ) -> None:
        super().__init__(temperature, normalize, no_positive, tile_size, reduction, name)
        check_choice("form", form, ("out", "in"))
        self.form = form

    def call(
        self,
        ids: Tensor | None,
        y_pred: Tensor,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        positive_mask: Tensor | None = None,
        pair_weights: Tensor | None = None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        batch = y_pred.shape[0]
        for name, values, ranks in (
            ("positive_mask", positive_mask, (2,)),
            ("pair_weights", pair_weights, (1, 2)),
        ):
            shape = (batch, batch) if values is None else tuple(ops.convert_to_tensor(values).shape)
            if len(shape) not in ranks or not agree(shape, (batch,) * len(shape)):
                allowed = " or ".join(["(batch,)", "(batch, batch)"][rank - 1] for rank in ranks)
                raise ValueError(f"{name} must be {allowed}, got shape {shape} for a batch of {batch}.")
        return self.view_losses(
            ids,
            y_pred,
            negatives,
            candidate_mask,
            references=references,
            positive_mask=positive_mask,
            positive_weights=pair_weights,
            form=self.form,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "form": self.form}
