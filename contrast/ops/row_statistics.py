"""Statistics of the rows of a matrix of logits that is never held whole."""

from typing import NamedTuple

from keras import ops

from contrast.ops.pairs import Pairs
from contrast.ops.tiled import EMPTY, TILE_SIZE, column_tile, rows_at_once, visit_matrix
from contrast.ops.tiles import Tiles, masked
from contrast.typing import Tensor, TileSize


class RowStatistics(NamedTuple):
    """What a loss needs to know of each row of logits; three float32 tensors `(rows,)`.

    Attributes:
        log_candidates: log-sum-exp over the row's candidates, -1e30 if it has none.
        positives: the sum of the weighted positive logits, or their weighted log-sum-exp.
        positive_weight: the sum of the weights of the positives; no gradient flows through it.
    """

    log_candidates: Tensor
    positives: Tensor
    positive_weight: Tensor


def row_statistics(
    rows: Tensor,
    columns: Tensor | None,
    pairs: Pairs,
    *,
    log_positives: bool = False,
    tile_size: TileSize = TILE_SIZE,
) -> RowStatistics:
    r"""Log-sum-exp over candidates and sum over positives for each row of logits.

    $$\log\sum_{j \in C_i} e^{s_{ij}}, \qquad \sum_j w_{ij} s_{ij} \text{ or } \log\sum_j w_{ij} e^{s_{ij}},
    \qquad \sum_j w_{ij}, \qquad s_{ij} = a_i \cdot b_j$$

    Args:
        rows: float32 tensor `(rows, dim)`, the $a_i$, temperature included.
        columns: float32 tensor `(columns, dim)`, the $b_j$, or `None` where they are the rows themselves:
            value and gradient then take two products of all rows with all columns in place of four.
        pairs: a `contrast.ops.Pairs`, candidates $C_i$ and weights $w_{ij}$ of the positives.
        log_positives: take the log-sum-exp of the positives in place of their sum.
        tile_size: rows of logits held at once, `"auto"` for what suits the device; `None` holds all.

    Returns:
        A `RowStatistics`.
    """
    result = visit_matrix(_LogSumExp(log_positives), pairs, tile_size, rows, columns)
    return RowStatistics(result[:, 0], result[:, 1], ops.stop_gradient(result[:, 2]))


def positive_competition(
    rows: Tensor,
    columns: Tensor | None,
    log_negatives: Tensor,
    pairs: Pairs,
    *,
    tile_size: TileSize = TILE_SIZE,
) -> Tensor:
    r"""Each positive's own cross-entropy against the row's negatives, summed over the positives.

    $$\sum_j w_{ij} \log(1 + e^{n_i - s_{ij}}), \qquad s_{ij} = a_i \cdot b_j$$

    Args:
        rows, columns, pairs, tile_size: as for `row_statistics`.
        log_negatives: float32 tensor `(rows,)`, the log-sum-exp $n_i$ over the row's negatives.

    Returns:
        A float32 tensor `(rows,)`.
    """
    return visit_matrix(_Competition(), pairs, tile_size, rows, columns, log_negatives)[:, 0]


def count_positives(
    pairs: Pairs, rows: int | Tensor, columns: int | Tensor, *, tile_size: TileSize = TILE_SIZE
) -> Tensor:
    """The summed weight of each row's positives, without looking at any embedding.

    Args:
        pairs: a `contrast.ops.Pairs`.
        rows, columns: how many rows and columns there are; int or scalar tensor.
        tile_size: rows visited at once; `None` visits all.

    Returns:
        A float32 tensor `(rows,)`.
    """
    tile_size = rows_at_once(tile_size)
    row_tiles, column_tiles = Tiles(rows, tile_size), Tiles(columns, column_tile(tile_size))

    def visit_row_tile(carry, row_numbers, _):
        def visit_column_tile(total, column_numbers, valid):
            _, weight = pairs.tile(row_numbers, column_numbers)
            return (total[0] + ops.sum(masked(weight, valid), axis=1),), ()

        start = (ops.zeros((row_tiles.size,), "float32"),)
        (total,), _ = column_tiles.visit(visit_column_tile, start, 0)
        return carry, (total,)

    _, (total,) = row_tiles.visit(visit_row_tile, (), 1)
    return total


class _LogSumExp:
    """Log-sum-exp over candidates, and sum or log-sum-exp over positives.

    The state is the log-sum-exp so far, the sum of the exponentials that need no maximum, the positives and
    their weight.
    """

    is_plain = True

    def __init__(self, log_positives):
        self.log_positives = log_positives

    def start(self, count):
        empty, zero = ops.full((count,), EMPTY, "float32"), ops.zeros((count,), "float32")
        return empty, zero, empty if self.log_positives else zero, zero

    def update(self, state, logits, candidates, weights, _, axis):
        log_candidates, total, positives, weight = state
        log_candidates = _log_add_exp(log_candidates, _log_sum_exp(logits, candidates, axis))
        is_positive = ops.greater(weights, 0)
        if self.log_positives:
            log_weights = ops.log(ops.where(is_positive, weights, ops.ones_like(weights)))
            positives = _log_add_exp(positives, _log_sum_exp(logits + log_weights, is_positive, axis))
        else:
            positives = positives + ops.sum(masked(weights * logits, is_positive), axis=axis)
        return log_candidates, total, positives, weight + ops.sum(weights, axis=axis)

    def update_plain(self, states, logits, bounded):
        """The states after a tile of negatives: of its rows and, if there is a second one, of its columns."""
        exponentials = ops.exp(logits) if bounded else None
        new = []
        for (log_candidates, total, positives, weight), axis in zip(states, (1, 0), strict=False):
            if bounded:
                total = total + ops.sum(exponentials, axis=axis)
            else:
                log_candidates = _log_add_exp(log_candidates, _log_sum_exp(logits, None, axis))
            new.append((log_candidates, total, positives, weight))
        return new

    def finish(self, state):
        log_candidates, total, positives, weight = state
        is_empty = ops.equal(total, 0)
        log_total = ops.where(is_empty, EMPTY, ops.log(ops.where(is_empty, ops.ones_like(total), total)))
        return _log_add_exp(log_candidates, log_total), positives, weight

    def coefficients(self, logits, candidates, weights, result, upstream, _):
        gradient = upstream[0] * masked(ops.exp(logits - result[0]), candidates)
        if self.log_positives:
            return gradient + upstream[1] * masked(weights * ops.exp(logits - result[1]), weights > 0)
        return gradient + upstream[1] * weights

    def rates(self, result, upstream):
        """What `plain_coefficients` needs of each row: factor of exponentials, upstream, result."""
        return ops.stack([upstream[:, 0] * ops.exp(-result[:, 0]), upstream[:, 0], result[:, 0]], axis=1)

    def plain_coefficients(self, logits, rates, bounded):
        """The gradient with respect to the logits of a tile of negatives.

        `rates` are those of its rows `(3, r, 1)` and, if there is a second entry, of its columns `(3, 1, c)`.
        """
        if bounded:
            return ops.exp(logits) * _sum([rate[0] for rate in rates])
        return _sum([rate[1] * ops.exp(logits - rate[2]) for rate in rates])


class _Competition:
    """Sum over positives of the softplus of (log negatives - logit)."""

    is_plain = False

    def start(self, count):
        return (ops.zeros((count,), "float32"),)

    def update(self, state, logits, candidates, weights, log_negatives, axis):
        own_loss = ops.softplus(log_negatives - logits)
        return (state[0] + ops.sum(masked(weights * own_loss, weights > 0), axis=axis),)

    def finish(self, state):
        return state

    def coefficients(self, logits, candidates, weights, result, upstream, log_negatives):
        return -upstream[0] * weights * ops.sigmoid(log_negatives - logits)


def _log_sum_exp(logits, mask, axis):
    largest = ops.max(logits if mask is None else ops.where(mask, logits, EMPTY), axis=axis)
    total = ops.sum(masked(ops.exp(logits - ops.expand_dims(largest, axis)), mask), axis=axis)
    if mask is None:
        return largest + ops.log(total)
    is_empty = ops.equal(total, 0)
    return ops.where(is_empty, EMPTY, largest + ops.log(ops.where(is_empty, ops.ones_like(total), total)))


def _log_add_exp(a, b):
    largest = ops.maximum(a, b)
    return largest + ops.log1p(ops.exp(ops.minimum(a, b) - largest))


def _sum(tensors):
    return tensors[0] if len(tensors) == 1 else tensors[0] + tensors[1]
