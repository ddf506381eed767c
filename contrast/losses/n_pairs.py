from typing import Any

import keras
from keras import ops

from contrast.losses.metric_loss import MetricLoss
from contrast.losses.negatives import References
from contrast.ops import TILE_SIZE, Pairs, row_statistics
from contrast.typing import Tensor, TileSize


@keras.saving.register_keras_serializable(package="contrast")
class NPairs(MetricLoss):
    r"""One pair of each class; each anchor must find its partner among the partners of all classes.

    With anchor $a_c$ and partner $b_c$, the first two embeddings of class c in the batch, and the $C$ classes
    that have two,
    $$\ell_c = -\log \frac{e^{a_c \cdot b_c}}{\sum_{k=1}^{C} e^{a_c \cdot b_k}}.$$

    Use it with many classes and two samples of each in a batch. What stands beyond a class's first two is not
    looked at; `SupervisedContrastive` uses all pairs. Embeddings are not normalised, as in the paper, whose
    penalty on their length is left to the optimizer or the model. With fewer than two such classes the loss
    is 0.

    Args:
        normalize: scale embeddings to unit length, as pytorch-metric-learning does.
        tile_size, reduction, name: see `ContrastiveLoss`. With `reduction="none"` the loss stands at the
            anchor of its class, 0 elsewhere.

    Inputs: `y_pred` is `(batch, views, dim)`; `y_true` is `(batch,)` integer ids, or `None` with several
    views.

    Raises:
        ValueError: when called with negatives, references or a candidate mask.

    Example:

    >>> loss = contrast.losses.NPairs()
    >>> labels, embeddings = np.array([0, 0, 1, 1]), 9 * np.repeat(np.eye(2), 2, axis=0)[:, None]
    >>> float(loss(labels, embeddings)) < 1e-6
    True

    Reference: Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NeurIPS 2016,
        equation 7.
    """

    def __init__(
        self,
        normalize: bool = False,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str = "n_pairs",
    ) -> None:
        super().__init__("euclidean", normalize, None, tile_size, reduction, name)

    def call(
        self,
        ids: Tensor | None,
        y_pred: Tensor,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        if any(given is not None for given in (negatives, candidate_mask, references)):
            raise ValueError(f"{self.name} takes no negatives, references or candidate_mask.")
        return super().call(ids, y_pred)

    def anchor_losses(
        self, rows: Tensor, columns: Tensor | None, pairs: Pairs, row_negatives: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        classes = pairs.row_instances if pairs.row_ids is None else pairs.row_ids
        count = ops.shape(rows)[0]
        order = ops.argsort(classes)  # equal ones stay in their order
        classes = ops.take(classes, order, axis=0)
        as_before = ops.equal(classes[1:], classes[:-1])
        edge = ops.zeros((1,), "bool")
        begins = ops.logical_not(ops.concatenate([edge, as_before]))
        is_pair = ops.logical_and(begins, ops.concatenate([as_before, edge]))
        anchors = ops.take(rows, order, axis=0)
        partners = ops.roll(anchors, -1, axis=0)
        numbers = ops.arange(count, dtype="int32")
        statistics = row_statistics(
            anchors, partners, Pairs(numbers, numbers, candidate_mask=is_pair), tile_size=self.tile_size
        )
        losses = ops.where(is_pair, statistics.log_candidates - statistics.positives, 0.0)
        back = ops.argsort(order)
        return ops.take(losses, back, axis=0), ops.cast(ops.take(is_pair, back, axis=0), "float32")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["distance"], config["miner"]
        return config
