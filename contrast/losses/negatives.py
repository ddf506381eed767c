"""Candidates that belong to no sample of the batch."""

from typing import Any, NamedTuple

from keras import ops

from contrast.typing import Tensor


class References(NamedTuple):
    """Candidates with an id.

    Attributes:
        embeddings: float32 tensor `(n, dim)`, as they enter the dot product.
        ids: int tensor `(n,)`.
        valid: bool tensor `(n,)`.
    """

    embeddings: Any
    ids: Any
    valid: Any


def with_negatives(
    rows: Tensor,
    columns: Tensor,
    ids: Tensor | None,
    negatives: Tensor | None,
    references: References | None = None,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Adds negatives, then references, to the columns.

    Returns:
        Columns, their instance numbers (-1 for negatives, numbers of no row for references), their ids or
        `None`, and the logits `(rows, n)` of negatives that each row has of its own, or `None`.
    """
    instances = ops.arange(ops.shape(columns)[0], dtype="int32")
    row_negatives = None
    if negatives is not None and len(negatives.shape) == 3:
        row_negatives = ops.einsum("bd,bnd->bn", rows, negatives)
    elif negatives is not None:
        nobody = ops.full((ops.shape(negatives)[0],), -1, "int32")
        if ids is not None:
            ids = ops.concatenate([ids, ops.cast(nobody, ids.dtype)])
        columns, instances = ops.concatenate([columns, negatives]), ops.concatenate([instances, nobody])
    if references is not None:
        numbers = ops.arange(ops.shape(references.ids)[0], dtype="int32") + ops.shape(columns)[0]
        columns = ops.concatenate([columns, references.embeddings])
        instances, ids = ops.concatenate([instances, numbers]), ops.concatenate([ids, references.ids])
    return columns, instances, ids, row_negatives


def with_references(
    candidate_mask: Tensor | None, references: References | None, columns: int | Tensor
) -> Tensor | None:
    """The candidate mask of `columns` columns, or `None`, continued by which references are valid."""
    if references is None:
        return candidate_mask
    valid = references.valid
    if candidate_mask is None:
        return ops.concatenate([ops.ones((columns,), "bool"), valid])
    rows = ops.shape(candidate_mask)[0]
    valid = ops.broadcast_to(valid[None, :], (rows, ops.shape(valid)[0]))
    return ops.concatenate([candidate_mask, valid], axis=1)
