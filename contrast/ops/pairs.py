"""Which pairs of embeddings are positives, negatives or neither."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from contrast.typing import Tensor


@dataclass(frozen=True)
class Pairs:
    """The relation between rows (anchors) and columns (candidates), read tile by tile.

    An *instance* is one sample of the batch, whose views are each other's positives; an *id* is what the user
    says of it (a class, a study, a caption), which several instances may share. Nothing here is of size
    rows times columns unless the user gives such a mask.

    Args:
        row_instances: int tensor `(rows,)`.
        column_instances: int tensor `(columns,)`; -1 for extra negatives, which belong to no instance.
        row_ids: int tensor `(rows,)`, or `None` if every instance is its own id.
        column_ids: int tensor `(columns,)`, or `None`.
        one_sided: rows and columns are the same embeddings, so that a row is no candidate of its own.
        ignore_same_id: equal ids of different instances are neither positive nor negative (else positive).
        positive_mask: bool tensor `(rows, columns)` that replaces what ids and instances say; or `None`.
        positive_weights: float tensor `(rows, columns)` or `(columns,)`, the weight of a positive; or `None`.
        candidate_mask: bool tensor `(rows, columns)` or `(columns,)`; `False` leaves the pair out; or `None`.
        negatives_only: positives are no candidates, so that the denominator holds negatives alone.
    """

    row_instances: Any
    column_instances: Any
    row_ids: Any = None
    column_ids: Any = None
    one_sided: bool = False
    ignore_same_id: bool = False
    positive_mask: Any = None
    positive_weights: Any = None
    candidate_mask: Any = None
    negatives_only: bool = False

    @property
    def symmetric(self) -> bool:
        """Whether row i is to row j what j is to i, so that one tile tells both."""
        return self.one_sided and all(
            x is None for x in (self.positive_mask, self.positive_weights, self.candidate_mask)
        )

    def tile(self, rows: Any, columns: Any) -> tuple[Tensor, Tensor]:
        """Reads the pairs of some rows with some columns.

        Args:
            rows: int tensor `(r,)` of row numbers, or `None` for all.
            columns: int tensor `(c,)` of column numbers, or `None` for all.

        Returns:
            `candidates`: bool `(r, c)`, the pairs in the denominator; `positives`: float32 `(r, c)`, the
            weight of each pair as a positive, 0 where it is none. What the masks leave out is neither.
        """
        row_instances = _part(self.row_instances, rows)[:, None]
        column_instances = _part(self.column_instances, columns)[None, :]
        same_instance = ops.equal(row_instances, column_instances)
        positives = same_instance
        candidates = ops.ones_like(same_instance)
        if self.row_ids is not None:
            same_id = ops.equal(_part(self.row_ids, rows)[:, None], _part(self.column_ids, columns)[None, :])
            same_id = ops.logical_and(same_id, ops.greater_equal(column_instances, 0))
            if self.ignore_same_id:
                candidates = ops.logical_or(same_instance, ops.logical_not(same_id))
            else:
                positives = ops.logical_or(positives, same_id)
        if self.positive_mask is not None:
            positives = _part(self.positive_mask, rows, columns)
        if self.one_sided:
            row_numbers = _numbers(rows, self.row_instances)[:, None]
            column_numbers = _numbers(columns, self.column_instances)[None, :]
            candidates = ops.logical_and(candidates, ops.not_equal(row_numbers, column_numbers))
        if self.candidate_mask is not None:
            candidates = ops.logical_and(candidates, _pair_values(self.candidate_mask, rows, columns))
        positives = ops.logical_and(positives, candidates)
        if self.negatives_only:
            candidates = ops.logical_and(candidates, ops.logical_not(positives))
        positives = ops.cast(positives, "float32")
        if self.positive_weights is not None:
            positives = positives * _pair_values(self.positive_weights, rows, columns)
        return candidates, positives

    def plain_tiles(self, row_tiles: Any, column_tiles: Any) -> Tensor | None:
        """Which tiles are known to hold negatives only: every pair a candidate, none a positive.

        Known from the ranges of instances and ids in each tile; tiles that repeat a row are not among them.

        Args:
            row_tiles, column_tiles: the rows and the columns as `contrast.ops.tiles.Tiles`.

        Returns:
            A bool tensor `(tiles of rows, tiles of columns)`, or `None` where masks or weights say more.
        """
        if any(x is not None for x in (self.positive_mask, self.positive_weights, self.candidate_mask)):
            return None
        plain = _ranges_differ(row_tiles.split(self.row_instances), column_tiles.split(self.column_instances))
        if self.row_ids is not None:
            differ = _ranges_differ(row_tiles.split(self.row_ids), column_tiles.split(self.column_ids))
            plain = ops.logical_and(plain, differ)
        for tiles, axis in ((row_tiles, 1), (column_tiles, 0)):
            if not tiles.is_exact:
                is_whole = (ops.arange(tiles.number, dtype="int32") + 1) * tiles.size <= tiles.count
                plain = ops.logical_and(plain, ops.expand_dims(is_whole, axis))
        return plain


def _ranges_differ(rows, columns):
    lowest, highest = ([reduce(x, axis=1) for x in (rows, columns)] for reduce in (ops.min, ops.max))
    return ops.logical_or(
        ops.less(highest[0][:, None], lowest[1][None, :]), ops.less(highest[1][None, :], lowest[0][:, None])
    )


def _part(x, *index):
    for axis, numbers in enumerate(index):
        if numbers is not None:
            x = ops.take(x, numbers, axis=axis)
    return x


def _pair_values(x, rows, columns):
    return _part(x, rows, columns) if len(x.shape) == 2 else _part(x, columns)[None, :]


def _numbers(numbers, like):
    return ops.arange(ops.shape(like)[0]) if numbers is None else numbers
