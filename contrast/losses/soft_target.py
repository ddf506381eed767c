import keras
from keras import ops

from contrast.losses.negatives import References, with_negatives
from contrast.losses.two_sided import TwoSided
from contrast.ops import TILE_SIZE, Pairs
from contrast.ops.shapes import agree
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class SoftTargetContrastive(TwoSided):
    r"""Cross-entropy of each query's softmax over the keys against a given row of targets.

    With targets $t_{ij} \ge 0$, scaled to sum to 1 in each row, and logits $s_{ij} = q_i \cdot k_j / \tau$,
    $$\ell_i = -\sum_j t_{ij} \log \frac{e^{s_{ij}}}{\sum_k e^{s_{ik}}}.$$
    It differs from the Kullback-Leibler divergence to the targets by their entropy, which has no gradient.

    Use it when similarity between samples is graded: a teacher's similarities, overlap of labels, smoothed
    pairs. With equal targets for equal ids it is `InfoNCE(same_id="shared")`, which needs no matrix.

    Args:
        temperature: positive float, or a `contrast.layers.Temperature` that the model owns.
        symmetric: also let each key choose among the queries, with the transposed targets, and average.
        normalize, no_positive, tile_size, reduction, name: see `ContrastiveLoss`; a row whose targets are all
            zero has no positive.

    Inputs: `y_pred` is `(batch, 2, dim)`, queries then keys, or the pair itself; `y_true` is `(batch, batch)`
    float targets, `None` for the identity. `negatives` have target 0.

    Raises:
        ValueError: if the targets are not `(batch, batch)`.

    Example:

    >>> loss = contrast.losses.SoftTargetContrastive(temperature=0.1)
    >>> queries, keys, targets = np.eye(4, 8), np.eye(4, 8), 0.9 * np.eye(4) + 0.025
    >>> tuple(loss(targets, (queries, keys)).shape)
    ()

    Reference: [Andonian et al., 2022](https://arxiv.org/abs/2204.04588), section 3.
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.07,
        symmetric: bool = False,
        normalize: bool = True,
        no_positive: str = "skip",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "soft_target_contrastive",
    ) -> None:
        super().__init__(temperature, symmetric, normalize, no_positive, tile_size, reduction, name)

    def check_targets(self, y_true: Tensor | None, y_pred: Tensor) -> Tensor:
        batch = y_pred.shape[0]
        if y_true is None:
            return ops.eye(ops.shape(y_pred)[0], dtype="float32")
        targets = ops.cast(ops.convert_to_tensor(y_true), "float32")
        if not agree(targets.shape, (batch, batch)):
            raise ValueError(
                f"y_true must be ({batch}, {batch}) targets, one row a query, got {tuple(targets.shape)}."
            )
        return targets

    def mirrored(self, targets: Tensor) -> Tensor:
        return ops.transpose(targets)

    def direction(
        self,
        rows: Tensor,
        columns: Tensor,
        targets: Tensor,
        negatives: Tensor | None,
        candidate_mask: Tensor | None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        if references is not None:
            raise ValueError(f"{self.name} reads no ids, got references; give them as negatives.")
        columns, instances, _, row_negatives = with_negatives(rows, columns, None, negatives)
        batch = ops.shape(rows)[0]
        targets = ops.pad(targets, [[0, 0], [0, ops.shape(columns)[0] - batch]])
        pairs = Pairs(
            instances[:batch],
            instances,
            positive_mask=ops.greater(targets, 0),
            positive_weights=targets,
            candidate_mask=candidate_mask,
        )
        return self.anchor_losses(rows, columns, pairs, row_negatives)
