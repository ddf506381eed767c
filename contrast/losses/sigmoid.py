from typing import Any

import keras
from keras import ops

from contrast.losses.base import ContrastiveLoss, check_choice
from contrast.losses.negatives import References, with_negatives
from contrast.ops import TILE_SIZE, Pairs, pairwise_sigmoid
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class SigmoidContrastive(ContrastiveLoss):
    r"""Every pair of a query and a key is a yes-or-no question: do they belong together?

    For unit vectors $q_i$, $k_j$, temperature $\tau$ and bias $\beta$, with $y_{ij} = 1$ for positives and
    $-1$ for all other pairs,
    $$\ell_i = -\sum_j \log \frac{1}{1 + e^{-y_{ij} (q_i \cdot k_j / \tau + \beta)}},$$
    and the loss is the mean over the batch of $\ell_i$: the sum over all pairs, divided by the batch.

    Use it for image and text in place of `InfoNCE`: no softmax ties the pairs of a row together, so that the
    loss is symmetric and several positives a row cost nothing. The bias starts negative since almost all
    pairs are negatives; without it the first steps only lower all similarities.

    Args:
        temperature: positive float, or a `contrast.layers.Temperature` that the model owns; 0.1 is where the
            paper starts.
        bias: float, or a `contrast.layers.LogitBias` that the model owns; -10 is where the paper starts.
        same_id: what pairs of rows with an equal id are: `"ignore"`, neither positive nor negative, or
            `"positive"`.
        normalize, tile_size, reduction, name: see `ContrastiveLoss`. `reduction="none"` gives $\ell_i$.

    Inputs: `y_pred` is `(batch, 2, dim)`, queries then keys, or the pair itself; `y_true` is `(batch,)`
    integer ids or `None`. `negatives` are further keys. `sample_weight` weighs the rows, that is the queries.

    Raises:
        ValueError: if queries and keys differ in shape, or the temperature is not positive.

    Example:

    >>> loss = contrast.losses.SigmoidContrastive()
    >>> image_embeddings, text_embeddings = np.eye(4, 8), np.eye(4, 8)
    >>> round(float(loss(None, (image_embeddings, text_embeddings))), 3)  # log 2 + 3 * log(1 + e**-10)
    0.693

    Reference: [Zhai et al., 2023](https://arxiv.org/abs/2303.15343), section 3.2.
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.1,
        bias: float | keras.Layer = -10.0,
        same_id: str = "ignore",
        normalize: bool = True,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "sigmoid_contrastive",
    ) -> None:
        super().__init__(temperature, normalize, "zero", tile_size, reduction, name)
        check_choice("same_id", same_id, ("ignore", "positive"))
        self.bias, self.same_id = bias, same_id

    def call(
        self,
        ids: Tensor | None,
        y_pred: Tensor,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        if references is not None:
            raise ValueError(f"{self.name} takes no references; give them as negatives.")
        if y_pred.shape[1] != 2:
            raise ValueError(
                f"{self.name} needs two views, queries and keys, got y_pred of shape {tuple(y_pred.shape)}."
            )
        rows, columns = self.scale(self.prepare(y_pred[:, 0])), self.prepare(y_pred[:, 1])
        columns, instances, column_ids, row_negatives = with_negatives(rows, columns, ids, negatives)
        pairs = Pairs(
            instances[: ops.shape(rows)[0]],
            instances,
            ids,
            column_ids,
            ignore_same_id=self.same_id == "ignore",
            candidate_mask=candidate_mask,
        )
        bias = self.bias.value if isinstance(self.bias, keras.Layer) else self.bias
        losses = pairwise_sigmoid(rows, columns, pairs, bias, tile_size=self.tile_size)
        if row_negatives is not None:
            losses = losses + ops.sum(ops.softplus(row_negatives + bias), axis=1)
        return losses[:, None], None

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "bias": float(self.bias), "same_id": self.same_id}
        del config["no_positive"]  # a row without a positive still has its negatives
        return config
