"""Functions of whole rows of the matrix of pairs, some rows at a time."""

from collections.abc import Callable, Sequence

from keras import ops

from contrast import backend
from contrast.ops.pairs import Pairs
from contrast.ops.tiled import EMPTY, TILE_SIZE, rows_at_once
from contrast.ops.tiles import Tiles, count, masked
from contrast.typing import Tensor, TileSize

_TILE_ENTRIES = 2**23  # 32 MB in float32: fewer rows are visited at once where there are more pairs


def map_row_tiles(
    function: Callable[..., Sequence[Tensor]],
    rows: Tensor,
    columns: Tensor | None,
    pairs: Pairs,
    *,
    tile_size: TileSize = TILE_SIZE,
) -> Tensor:
    """Applies a function of some rows against all columns, tile by tile.

    Forward keeps what the function returns alone, backward computes each tile once more: memory is that of
    one tile and of the embeddings. Use it where a row's loss needs all of its pairs at once, as for a sort;
    for sums over pairs `row_statistics` tiles the columns too.

    Args:
        function: `function(rows, columns, positives, negatives)` of some rows `(r, dim)`, all columns
            `(columns, dim)` and two bool masks `(r, columns)`; returns a tuple of float32 tensors `(r,)`.
        rows: float32 tensor `(rows, dim)`.
        columns: float32 tensor `(columns, dim)`, or `None` where they are the rows themselves.
        pairs: a `contrast.ops.Pairs`; negatives are its candidates that are no positives.
        tile_size: rows visited at once, fewer where there are very many columns; `None` visits all.

    Returns:
        A float32 tensor `(rows, k)` of the `k` tensors that the function returns.
    """
    one_sided = columns is None

    def tile(row, columns, numbers):
        candidates, weights = pairs.tile(numbers, None)
        positives = ops.greater(weights, 0)
        negatives = ops.logical_and(candidates, ops.logical_not(positives))
        return ops.stack(function(row, columns, positives, negatives), axis=-1)

    all_columns = rows if one_sided else columns
    tiles = Tiles(count(rows), _fitting(rows_at_once(tile_size), all_columns.shape[0]))
    if tiles.is_single:
        return tile(rows, all_columns, None)

    @ops.custom_gradient
    def compute(*tensors):
        rows, columns = tensors[0], tensors[-1]

        def forward(carry, numbers, _):
            return carry, (tile(ops.take(rows, numbers, axis=0), columns, numbers),)

        _, (result,) = tiles.visit(forward, (), 1)

        def gradient(*args, upstream=None):
            upstream = args[-1] if upstream is None else upstream

            def backward(carry, numbers, valid):
                row_upstream = ops.take(upstream, numbers, axis=0)
                if valid is not None:
                    row_upstream = masked(row_upstream, valid[:, None])

                def weighted(row, columns):
                    return ops.sum(tile(row, columns, numbers) * row_upstream)

                _, (row_gradient, column_gradient) = backend.value_and_grad(
                    weighted, ops.take(rows, numbers, axis=0), columns
                )
                return (carry[0] + column_gradient,), (row_gradient,)

            (total,), (row_gradient,) = tiles.visit(backward, (ops.zeros_like(columns),), 1)
            return row_gradient + total if one_sided else (row_gradient, total)

        return result, gradient

    return compute(rows) if one_sided else compute(rows, columns)


def masked_log_sum_exp(x: Tensor, mask: Tensor) -> Tensor:
    """Log-sum-exp over the entries of each row where `mask` is true; -1e30, without gradient, if none is.

    Args:
        x: float32 tensor `(rows, columns)`, finite where the mask is true.
        mask: bool tensor `(rows, columns)`.

    Returns:
        A float32 tensor `(rows,)`.
    """
    largest = ops.stop_gradient(ops.max(ops.where(mask, x, EMPTY), axis=1))
    shifted = ops.where(mask, x - largest[:, None], ops.zeros_like(x))
    total = ops.sum(masked(ops.exp(shifted), mask), axis=1)
    is_empty = ops.equal(total, 0)
    return ops.where(is_empty, EMPTY, largest + ops.log(ops.where(is_empty, ops.ones_like(total), total)))


def _fitting(tile_size, columns):
    if tile_size is None or columns is None:
        return tile_size
    return min(tile_size, max(1, _TILE_ENTRIES // columns))
