"""Candidates that belong to no sample of the batch."""

from keras import ops


def with_negatives(rows, columns, ids, negatives):
    """Adds negatives to the columns.

    Returns:
        Columns, their instance numbers (-1 for negatives), their ids or `None`, and the logits `(rows, n)` of
        negatives that each row has of its own, or `None`.
    """
    instances = ops.arange(ops.shape(columns)[0], dtype="int32")
    if negatives is None:
        return columns, instances, ids, None
    if len(negatives.shape) == 3:
        return columns, instances, ids, ops.einsum("bd,bnd->bn", rows, negatives)
    nobody = ops.full((ops.shape(negatives)[0],), -1, "int32")
    if ids is not None:
        ids = ops.concatenate([ids, ops.cast(nobody, ids.dtype)])
    return ops.concatenate([columns, negatives]), ops.concatenate([instances, nobody]), ids, None
