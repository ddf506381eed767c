"""Row statistics of a similarity matrix that is never held whole.

The matrix of logits $s_{ij} = a_i \\cdot b_j$ is visited tile by tile: forward keeps a running log-sum-exp
for each row, backward computes each tile once more. Memory is that of one tile and of the embeddings,
whatever the number of rows and columns.
"""

from typing import NamedTuple

from keras import ops

from contrast import backend

TILE_SIZE = 1024
_TILE_ENTRIES = 2**23  # 32 MB in float32: columns are tiled too where rows * columns exceeds it
_EMPTY = -1e30  # log-sum-exp of nothing; finite, so that gradients beside it stay finite


class RowStatistics(NamedTuple):
    """What a loss needs to know of each row of logits; three float32 tensors `(rows,)`.

    Attributes:
        log_candidates: log-sum-exp over the row's candidates, -1e30 if it has none.
        positives: the sum of the weighted positive logits, or their weighted log-sum-exp.
        positive_weight: the sum of the weights of the positives; no gradient flows through it.
    """

    log_candidates: object
    positives: object
    positive_weight: object


def row_statistics(rows, columns, pairs, *, log_positives=False, tile_size=TILE_SIZE):
    r"""Log-sum-exp over candidates and sum over positives for each row of logits.

    $$\log\sum_{j \in C_i} e^{s_{ij}}, \qquad \sum_j w_{ij} s_{ij} \text{ or } \log\sum_j w_{ij} e^{s_{ij}},
    \qquad \sum_j w_{ij}, \qquad s_{ij} = a_i \cdot b_j$$

    Args:
        rows: float32 tensor `(rows, dim)`, the $a_i$, temperature included.
        columns: float32 tensor `(columns, dim)`, the $b_j$, or `None` where they are the rows themselves: the
            symmetry then saves one of four matrix products.
        pairs: a `contrast.ops.Pairs`, candidates $C_i$ and weights $w_{ij}$ of the positives.
        log_positives: take the log-sum-exp of the positives in place of their sum.
        tile_size: rows of logits held at once; `None` holds all.

    Returns:
        A `RowStatistics`.
    """
    statistic = _LogSumExp(log_positives)
    result = visit_matrix(statistic, pairs, tile_size, rows, columns)
    return RowStatistics(result[:, 0], result[:, 1], ops.stop_gradient(result[:, 2]))


def positive_competition(rows, columns, log_negatives, pairs, *, tile_size=TILE_SIZE):
    r"""Each positive's own cross-entropy against the row's negatives, summed over the positives.

    $$\sum_j w_{ij} \log(1 + e^{n_i - s_{ij}}), \qquad s_{ij} = a_i \cdot b_j$$

    Args:
        rows, columns, pairs, tile_size: as for `row_statistics`.
        log_negatives: float32 tensor `(rows,)`, the log-sum-exp $n_i$ over the row's negatives.

    Returns:
        A float32 tensor `(rows,)`.
    """
    return visit_matrix(_Competition(), pairs, tile_size, rows, columns, log_negatives)[:, 0]


def count_positives(pairs, rows, columns, *, tile_size=TILE_SIZE):
    """The summed weight of each row's positives, without looking at any embedding.

    Args:
        pairs: a `contrast.ops.Pairs`.
        rows, columns: how many rows and columns there are; int or scalar tensor.
        tile_size: rows visited at once; `None` visits all.

    Returns:
        A float32 tensor `(rows,)`.
    """

    def visit_row_tile(carry, row_numbers, _):
        def visit_column_tile(total, column_numbers, valid):
            _, weight = pairs.tile(row_numbers, column_numbers)
            return (total[0] + ops.sum(masked(weight, valid), axis=1),), ()

        tiles = _Tiles(columns, _column_tile(tile_size))
        start = (ops.zeros((_length(row_numbers, rows),), "float32"),)
        (total,), _ = tiles.visit(visit_column_tile, start, 0)
        return carry, (total,)

    _, (total,) = _Tiles(rows, tile_size).visit(visit_row_tile, (), 1)
    return total


class _LogSumExp:
    """Online log-sum-exp over candidates, and sum or log-sum-exp over positives."""

    def __init__(self, log_positives):
        self.log_positives = log_positives

    def start(self, rows):
        empty, zero = ops.full((rows,), _EMPTY, "float32"), ops.zeros((rows,), "float32")
        return empty, empty if self.log_positives else zero, zero

    def update(self, carry, logits, candidates, weights, _):
        log_candidates, positives, weight = carry
        log_candidates = _log_add_exp(log_candidates, _log_sum_exp(logits, candidates))
        if self.log_positives:
            is_positive = weights > 0
            log_weights = ops.log(ops.where(is_positive, weights, ops.ones_like(weights)))
            positives = _log_add_exp(positives, _log_sum_exp(logits + log_weights, is_positive))
        else:
            positives = positives + ops.sum(masked(weights * logits, weights > 0), axis=1)
        return log_candidates, positives, weight + ops.sum(weights, axis=1)

    def coefficients(self, logits, candidates, weights, result, upstream, _):
        """The gradient of the upstream-weighted statistics with respect to each logit of a tile.

        `result` and `upstream` are `(3, rows, 1)`, or `(3, 1, columns)` for the mirror image of a tile.
        """
        gradient = upstream[0] * masked(ops.exp(logits - result[0]), candidates)
        if self.log_positives:
            return gradient + upstream[1] * masked(weights * ops.exp(logits - result[1]), weights > 0)
        return gradient + upstream[1] * weights


class _Competition:
    """Sum over positives of the softplus of (log negatives - logit)."""

    def start(self, rows):
        return (ops.zeros((rows,), "float32"),)

    def update(self, carry, logits, candidates, weights, log_negatives):
        own_loss = ops.softplus(log_negatives[:, None] - logits)
        return (carry[0] + ops.sum(masked(weights * own_loss, weights > 0), axis=1),)

    def coefficients(self, logits, candidates, weights, result, upstream, log_negatives):
        return -upstream[0] * weights * ops.sigmoid(log_negatives - logits)


def visit_matrix(statistic, pairs, tile_size, rows, columns, extra=None):
    """Row statistics `(rows, k)`; the gradient for `rows`, `columns` and `extra` recomputes the tiles."""
    one_sided = columns is None

    @ops.custom_gradient
    def compute(*tensors):
        rows = tensors[0]
        columns = rows if one_sided else tensors[1]
        extra_values = None if extra is None else tensors[-1]
        row_tiles = _Tiles(_count(rows), tile_size)
        column_tiles = _Tiles(_count(columns), _column_tile(tile_size))

        def forward_rows(carry, row_numbers, _):
            row, row_extra = _take(rows, row_numbers), _take(extra_values, row_numbers)

            def forward_columns(carry, column_numbers, valid):
                logits = ops.matmul(row, ops.transpose(_take(columns, column_numbers)))
                candidates, weights = pairs.tile(row_numbers, column_numbers)
                if valid is not None:
                    candidates = ops.logical_and(candidates, valid[None, :])
                    weights = masked(weights, valid[None, :])
                return statistic.update(carry, logits, candidates, weights, row_extra), ()

            start = statistic.start(_length(row_numbers, _count(rows)))
            statistics, _ = column_tiles.visit(forward_columns, start, 0)
            return carry, (ops.stack(statistics, axis=-1),)

        _, (result,) = row_tiles.visit(forward_rows, (), 1)

        def gradient(*args, upstream=None):
            upstream = ops.transpose(args[-1] if upstream is None else upstream)
            results = ops.transpose(result)

            def backward_rows(carry, row_numbers, row_valid):
                row, row_extra = _take(rows, row_numbers), _take(extra_values, row_numbers)
                row_result = _take(results, row_numbers, axis=1)[:, :, None]
                row_upstream = masked(_take(upstream, row_numbers, axis=1), row_valid)[:, :, None]

                def backward_columns(carry, column_numbers, valid):
                    row_gradient, extra_gradient = carry
                    column = _take(columns, column_numbers)
                    logits = ops.matmul(row, ops.transpose(column))
                    candidates, weights = pairs.tile(row_numbers, column_numbers)
                    coefficients = statistic.coefficients(
                        logits,
                        candidates,
                        weights,
                        row_result,
                        row_upstream,
                        None if extra is None else row_extra[:, None],
                    )
                    if valid is not None:
                        coefficients = masked(coefficients, valid[None, :])
                    if extra is not None:
                        extra_gradient = extra_gradient - ops.sum(coefficients, axis=1)
                    if not one_sided:
                        row_gradient = row_gradient + ops.matmul(coefficients, column)
                        return (row_gradient, extra_gradient), (ops.matmul(ops.transpose(coefficients), row),)
                    if not pairs.symmetric:
                        candidates, weights = map(ops.transpose, pairs.tile(column_numbers, row_numbers))
                    column_extra = _take(extra_values, column_numbers)
                    mirrored = statistic.coefficients(
                        logits,
                        candidates,
                        weights,
                        _take(results, column_numbers, axis=1)[:, None, :],
                        _take(upstream, column_numbers, axis=1)[:, None, :],
                        None if extra is None else column_extra[None, :],
                    )
                    if valid is not None:
                        mirrored = masked(mirrored, valid[None, :])
                    row_gradient = row_gradient + ops.matmul(coefficients + mirrored, column)
                    return (row_gradient, extra_gradient), ()

                start = (ops.zeros_like(row), ops.zeros((_length(row_numbers, _count(rows)),), "float32"))
                (row_gradient, extra_gradient), outs = column_tiles.visit(
                    backward_columns, start, 0 if one_sided else 1
                )
                carry = tuple(total + out for total, out in zip(carry, outs, strict=True))
                return carry, (row_gradient, extra_gradient)

            start = () if one_sided else (ops.zeros_like(columns),)
            totals, (row_gradient, extra_gradient) = row_tiles.visit(backward_rows, start, 2)
            return (row_gradient, *totals, *(() if extra is None else (extra_gradient,)))

        return result, gradient

    return compute(rows, *(() if one_sided else (columns,)), *(() if extra is None else (extra,)))


class _Tiles:
    """`count` rows (or columns) in tiles of `size`; the last tile is filled up with repeated numbers."""

    def __init__(self, count, size):
        self.count = count
        self.is_single = size is None or (isinstance(count, int) and count <= size)
        self.size = size if isinstance(count, int) or size is None else ops.minimum(size, count)

    def visit(self, body, carry, outputs):
        """`carry, outs = body(carry, numbers, valid)` for each tile.

        A single tile gets `None` for both: all numbers, all valid. Each of the `outputs` tensors that
        `body` puts out has the tile's numbers on its first axis; they come back joined along it.
        """
        if self.is_single:
            return body(carry, None, None)

        def step(carry, index):
            numbers = index * self.size + ops.arange(self.size, dtype="int32")
            return body(carry, ops.minimum(numbers, self.count - 1), numbers < self.count)

        length = (self.count + self.size - 1) // self.size
        carry, stacks = backend.scan(step, carry, length, outputs)
        return carry, tuple(ops.reshape(stack, (-1, *stack.shape[2:]))[: self.count] for stack in stacks)


def _column_tile(tile_size):
    return None if tile_size is None else max(tile_size, _TILE_ENTRIES // tile_size)


def _count(x):
    return ops.shape(x)[0]


def _length(numbers, count):
    return count if numbers is None else ops.shape(numbers)[0]


def _take(x, numbers, axis=0):
    return x if x is None or numbers is None else ops.take(x, numbers, axis=axis)


def masked(x, mask):
    return x if mask is None else ops.where(mask, x, ops.zeros_like(x))


def _log_sum_exp(logits, mask):
    largest = ops.max(ops.where(mask, logits, _EMPTY), axis=1)
    total = ops.sum(masked(ops.exp(logits - largest[:, None]), mask), axis=1)
    is_empty = ops.equal(total, 0)
    return ops.where(is_empty, _EMPTY, largest + ops.log(ops.where(is_empty, ops.ones_like(total), total)))


def _log_add_exp(a, b):
    largest = ops.maximum(a, b)
    return largest + ops.log1p(ops.exp(ops.minimum(a, b) - largest))
