"""Losses whose anchors and candidates are the same embeddings."""

from typing import Any

from keras import ops

from contrast.losses.base import ContrastiveLoss
from contrast.losses.negatives import References, with_negatives, with_references
from contrast.ops import Pairs
from contrast.typing import Tensor


class OneSided(ContrastiveLoss):
    """All views of all samples on one side: every view is an anchor, all others are its candidates."""

    def view_losses(
        self,
        ids: Tensor | None,
        y_pred: Tensor,
        negatives: Tensor | None,
        candidate_mask: Tensor | None,
        *,
        references: References | None = None,
        ignore_same_id: bool = False,
        positive_mask: Tensor | None = None,
        positive_weights: Tensor | None = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor]:
        batch, views, dim = ops.shape(y_pred)[0], y_pred.shape[1], y_pred.shape[2]
        if views == 1 and (ids is None or ignore_same_id) and positive_mask is None:
            raise ValueError(
                f"{self.name} needs ids that make positives or at least two views, got y_pred of shape "
                f"{tuple(y_pred.shape)}."
            )
        rows = self.scale(self.prepare(ops.reshape(y_pred, (-1, dim))), 0.5)
        own_negatives = negatives is not None and len(negatives.shape) == 3
        if negatives is not None:
            negatives = self.scale(negatives, 0.5)
        if own_negatives:
            negatives = ops.repeat(negatives, views, axis=0)
        if ids is not None:
            ids = ops.repeat(ids, views)
        if references is not None:
            references = references._replace(embeddings=self.scale(references.embeddings, 0.5))
        columns, numbers, column_ids, row_negatives = with_negatives(rows, rows, ids, negatives, references)
        total = ops.shape(columns)[0]
        known = total if references is None else total - ops.shape(references.ids)[0]
        is_sample = ops.greater_equal(numbers, 0)
        instances = ops.where(is_sample, numbers // views, numbers)
        pairs = Pairs(
            instances[: ops.shape(rows)[0]],
            instances,
            ids,
            column_ids,
            one_sided=True,
            ignore_same_id=ignore_same_id,
            positive_mask=_over_views(positive_mask, batch, views, total, "bool"),
            positive_weights=_over_views(positive_weights, batch, views, total, "float32"),
            candidate_mask=with_references(
                _over_views(candidate_mask, batch, views, known, "bool"), references, known
            ),
        )
        if references is None and (negatives is None or own_negatives):
            columns = None
        losses, counts = self.anchor_losses(rows, columns, pairs, row_negatives, **options)
        return ops.reshape(losses, (-1, views)), ops.reshape(counts, (-1, views))


def _over_views(values, batch, views, columns, dtype):
    """Values `(batch, batch)`, `(batch, batch + n)` or `(batch,)` by sample, as values by view.

    Columns of which nothing is said have the value 0.
    """
    if values is None:
        return None
    values = ops.cast(ops.convert_to_tensor(values), dtype)
    extra = columns - batch * views
    if len(values.shape) == 1:
        return ops.pad(ops.repeat(values, views), [[0, extra]])
    samples = ops.repeat(values[:, :batch], views, axis=1)
    rest = values[:, batch:]
    filled = ops.zeros((batch, extra - ops.shape(rest)[1]), dtype)
    return ops.repeat(ops.concatenate([samples, rest, filled], axis=1), views, axis=0)
