from typing import Any

import keras
from keras import ops

from contrast.losses.base import SAME_ID, check_choice
from contrast.losses.negatives import References, with_negatives, with_references
from contrast.losses.two_sided import TwoSided
from contrast.ops import TILE_SIZE, Pairs
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class InfoNCE(TwoSided):
    r"""Softmax cross-entropy of each query against all keys of the batch.

    For unit vectors $q_i$, $k_j$ and temperature $\tau$,
    $$\ell_i = -\log \frac{e^{q_i \cdot k_i / \tau}}{\sum_j e^{q_i \cdot k_j / \tau}}.$$

    Use it when every row has exactly one positive: image and caption, question and passage. With several
    positives a row use `SupervisedContrastive`; with both views on one side, `NTXent`; with graded targets,
    `SoftTargetContrastive`. A batch of one has nothing to tell apart: its loss is 0 unless `negatives` are
    given.

    Args:
        temperature: positive float, or a `contrast.layers.Temperature` that the model owns.
        symmetric: also let each key choose among the queries, and average.
        same_id: what rows with an equal id are to each other. `"ignore"`: neither positive nor negative.
            `"shared"`: positives that share the target mass, $\ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i}
            \log p_{ip}$ with $P_i$ all keys of row i's id. `"positive"`: positives each of which competes
            with the negatives alone, $\ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log
            \frac{e^{s_{ip}}}{e^{s_{ip}} + \sum_{n \notin P_i} e^{s_{in}}}$.
        normalize, no_positive, tile_size, reduction, name: see `ContrastiveLoss`.

    Inputs: `y_pred` is `(batch, 2, dim)`, queries then keys, or the pair itself; `y_true` is `(batch,)`
    integer ids or `None`. `negatives` and `references` are further keys; queries alone see them.

    Raises:
        ValueError: if queries and keys differ in shape, or the temperature is not positive.

    Example:

    >>> loss = contrast.losses.InfoNCE(temperature=0.07)
    >>> image_embeddings, text_embeddings = np.eye(4, 8), np.eye(4, 8)
    >>> float(loss(None, (image_embeddings, text_embeddings))) < 0.01
    True

    Reference: [van den Oord et al., 2018](https://arxiv.org/abs/1807.03748)
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.07,
        symmetric: bool = False,
        same_id: str = "ignore",
        normalize: bool = True,
        no_positive: str = "skip",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "info_nce",
    ) -> None:
        super().__init__(temperature, symmetric, normalize, no_positive, tile_size, reduction, name)
        check_choice("same_id", same_id, SAME_ID)
        self.same_id = same_id

    def direction(
        self,
        rows: Tensor,
        columns: Tensor,
        ids: Tensor | None,
        negatives: Tensor | None,
        candidate_mask: Tensor | None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        columns, instances, column_ids, row_negatives = with_negatives(
            rows, columns, ids, negatives, references
        )
        if references is not None:
            known = ops.shape(columns)[0] - ops.shape(references.ids)[0]
            candidate_mask = with_references(candidate_mask, references, known)
        pairs = Pairs(
            instances[: ops.shape(rows)[0]],
            instances,
            ids,
            column_ids,
            ignore_same_id=self.same_id == "ignore",
            candidate_mask=candidate_mask,
        )
        separate = self.same_id == "positive" and ids is not None
        return self.anchor_losses(rows, columns, pairs, row_negatives, separate=separate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "same_id": self.same_id}
