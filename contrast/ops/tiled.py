"""A matrix of logits that is visited tile by tile and never held whole.

The logits are $s_{ij} = a_i \\cdot b_j$. Forward keeps a running statistic of each row, backward computes
each tile once more; memory is that of a few tiles and of the embeddings, whatever the number of rows.

Products of (rows x columns x dim) per value and gradient:

- two-sided, $b$ other than $a$: 4; one in forward, three in backward (logits and the gradient of each side);
- one-sided, $b = a$: 2; logits are symmetric, so that half of the tiles tell all: half a product in forward,
  half a product and two half gradients in backward.

A tile is exponentiated once in forward and once in backward where the lengths of rows and columns bound the
logits, whose exponentials then fit into float32 as they are. Where they do not, a one-sided tile is
exponentiated for its rows, each less its maximum, and again for its columns. Tiles that hold negatives only,
as ranges of instances and ids tell, are read without masks.
"""

from keras import ops

from contrast import backend
from contrast.ops.tiles import Tiles, count, masked
from contrast.typing import TileSize

TILE_SIZE: TileSize = "auto"
PROCESSOR_TILE = 512  # the fastest of 256, 512 and 1024: a tile of 1 MB stays in a core's cache
ACCELERATOR_TILE = 4096  # 64 MB; for 32,768 rows an H200 takes 12 to 17 times as long with 512
_TILE_ENTRIES = 2**18  # columns of a tile are as many as its rows, or more where rows are few
EMPTY = -1e30  # log-sum-exp of nothing; finite, so that gradients beside it stay finite
_BOUND = 40.0  # logits up to it in size are exponentiated and summed as they are, without a running maximum


def visit_matrix(statistic, pairs, tile_size, rows, columns, extra=None):
    """A statistic of each row of logits; the gradient recomputes the tiles.

    Args:
        statistic: an object with these methods; a tile of logits is `(r, c)`.

            - `start(count)`: the state of so many rows that have seen nothing, a tuple of float32 tensors
              `(count,)`.
            - `update(state, logits, candidates, weights, extra, axis)`: the state after one more tile;
              `axis` is 1 where the state is that of the tile's rows, 0 where it is that of its columns.
            - `finish(state)`: the tuple of `k` results.
            - `coefficients(logits, candidates, weights, result, upstream, extra)`: the gradient of the
              upstream-weighted results with respect to the tile's logits. `result` and `upstream` are
              `(k, r, 1)`, or `(k, 1, c)` where they belong to the columns, and `extra` is `(r, 1)` or
              `(1, c)`.
            - `is_plain`: whether there are also `update_plain`, `rates` and `plain_coefficients`, for tiles
              whose pairs are all negatives; see `contrast.ops.row_statistics`.
        pairs: a `contrast.ops.Pairs`.
        tile_size: rows of logits held at once, `"auto"` for what suits the device; `None` holds all.
        rows: float32 tensor `(rows, dim)`.
        columns: float32 tensor `(columns, dim)`, or `None` where they are the rows themselves.
        extra: float32 tensor `(rows,)` that is subtracted from the logits inside `statistic`, or `None`.

    Returns:
        A float32 tensor `(rows, k)`. Gradients flow to `rows`, `columns` and `extra`.
    """
    one_sided, tile_size = columns is None, rows_at_once(tile_size)

    @ops.custom_gradient
    def compute(*tensors):
        columns = None if one_sided else tensors[1]
        visit = _Visit(
            statistic, pairs, tile_size, tensors[0], columns, None if extra is None else tensors[-1]
        )
        result = visit.forward()

        def gradient(*args, upstream=None):
            gradients = visit.backward(result, args[-1] if upstream is None else upstream)
            return gradients[0] if len(gradients) == 1 else gradients

        return visit.row_tiles.join(result), gradient

    return compute(rows, *(() if one_sided else (columns,)), *(() if extra is None else (extra,)))


class _Visit:
    """One pass over all tiles. What belongs to rows is held as `(tiles, rows of a tile, ...)`."""

    def __init__(self, statistic, pairs, tile_size, rows, columns, extra):
        self.statistic, self.pairs = statistic, pairs
        self.one_sided = columns is None
        self.row_tiles = Tiles(count(rows), tile_size)
        self.rows = self.columns = self.row_tiles.split(rows)
        self.column_tiles = self.row_tiles
        if not self.one_sided:
            self.column_tiles = Tiles(count(columns), column_tile(tile_size))
            self.columns = self.column_tiles.split(columns)
        self.extra = None if extra is None else self.row_tiles.split(extra)
        self.kinds = self._kinds() if statistic.is_plain else None

    def forward(self):
        """The results `(tiles, rows of a tile, k)`."""
        statistic = self.statistic

        def general(states, logits, i, j, sides):
            return [
                statistic.update(
                    state, logits, *self.pairs_of(i, j, axis), _look(self.extra, side, axis), axis
                )
                for state, (side, axis) in zip(states, sides, strict=True)
            ]

        parts = len(statistic.start(1))

        def own(i):
            start = statistic.start(self.row_tiles.size)
            return (ops.stack(general([start], self.logits(i, i), i, i, [(i, 1)])[0]),)

        def other(carry, i, j):
            (states,) = carry
            logits, sides = self.logits(i, j), self.sides(i, j)
            old = [tuple(states[side, part] for part in range(parts)) for side, _ in sides]
            new = self.by_kind(
                i,
                j,
                lambda: general(old, logits, i, j, sides),
                lambda bounded: statistic.update_plain(old, logits, bounded),
            )
            for (side, _), state in zip(sides, new, strict=True):
                states = backend.set_at(states, side, ops.stack(state))
            return (states,)

        if self.one_sided:
            carry = self.visit_diagonal(own, 1)
        else:
            start = ops.stack(statistic.start(self.row_tiles.size))
            # A sum, as set_at must not be given a view that holds the same numbers for every tile.
            carry = (start + ops.zeros((self.row_tiles.number, 1, 1)),)
        (states,) = self.visit_others(other, carry)
        return ops.stack(statistic.finish([states[:, part] for part in range(parts)]), axis=-1)

    def backward(self, result, upstream):
        """The gradients of rows, of columns if they are others, and of extra if there is any."""
        statistic, has_extra = self.statistic, self.extra is not None
        result, upstream = (ops.moveaxis(x, -1, 1) for x in (result, self.row_tiles.split(upstream)))
        rates = None if self.kinds is None else statistic.rates(result, upstream)

        def general(logits, i, j, sides):
            parts = []
            for side, axis in sides:
                known = (_look(x, side, axis) for x in (result, upstream, self.extra))
                parts.append(statistic.coefficients(logits, *self.pairs_of(i, j, axis), *known))
            extra = [
                -ops.sum(part, axis=axis) for part, (_, axis) in zip(parts, sides, strict=True) if has_extra
            ]
            return [parts[0] if len(parts) == 1 else parts[0] + parts[1], *extra]

        def own(i):
            coefficients, *extra = general(self.logits(i, i), i, i, [(i, 1)])
            return ((coefficients + ops.transpose(coefficients)) @ self.rows[i], *extra)

        def other(totals, i, j):
            logits, sides = self.logits(i, j), self.sides(i, j)

            def plain(bounded):
                known = [_look(rates, side, axis) for side, axis in sides]
                return [statistic.plain_coefficients(logits, known, bounded)]

            coefficients, *extra = self.by_kind(i, j, lambda: general(logits, i, j, sides), plain)
            totals = list(totals)
            totals[0] = backend.add_at(totals[0], i, coefficients @ self.columns[j])
            # Transposing the tile itself would copy it on TensorFlow.
            of_columns = ops.transpose(ops.transpose(self.rows[i]) @ coefficients)
            number = 0 if self.one_sided else 1
            totals[number] = backend.add_at(totals[number], j, of_columns)
            for (side, _), value in zip(sides, extra, strict=False):
                totals[-1] = backend.add_at(totals[-1], side, value)
            return tuple(totals)

        if self.one_sided:
            totals = self.visit_diagonal(own, 1 + has_extra)
        else:
            totals = (self.rows, self.columns, *([self.extra] if has_extra else []))
            totals = tuple(map(ops.zeros_like, totals))
        totals = self.visit_others(other, totals)
        tiles = [self.row_tiles, self.row_tiles if self.one_sided else self.column_tiles, self.row_tiles]
        return tuple(t.join(x) for t, x in zip(tiles, totals, strict=False))

    def sides(self, i, j):
        """Whose statistics tile (i, j) feeds: tile number, and the axis of the logits to reduce."""
        return [(i, 1), (j, 0)] if self.one_sided else [(i, 1)]

    def logits(self, i, j):
        return self.rows[i] @ ops.transpose(self.columns[j])

    def pairs_of(self, i, j, axis):
        """Candidates and weights of tile (i, j), as its rows see them or, with axis 0, as its columns do."""
        if axis == 0 and not self.pairs.symmetric:
            return tuple(map(ops.transpose, self.pairs_of(j, i, 1)))
        candidates, weights = self.pairs.tile(self.row_tiles.numbers(i), self.column_tiles.numbers(j))
        row_valid, column_valid = self.row_tiles.valid(i), self.column_tiles.valid(j)
        if row_valid is not None:
            candidates = ops.logical_and(candidates, row_valid[:, None])
            weights = masked(weights, row_valid[:, None])
        if column_valid is not None:
            candidates = ops.logical_and(candidates, column_valid[None, :])
            weights = masked(weights, column_valid[None, :])
        return candidates, weights

    def by_kind(self, i, j, general, plain):
        """The branch for the kind of tile (i, j); both give the same list of tensors."""
        if self.kinds is None:
            return general()
        return ops.switch(self.kinds[i, j], [general, lambda: plain(True), lambda: plain(False)])

    def visit_diagonal(self, own, outputs):
        """Each tensor of `own(i)` for all tiles of rows with themselves, stacked."""
        if self.row_tiles.is_single:
            return tuple(x[None] for x in own(0))
        return backend.scan(lambda _, i: ((), own(i)), (), self.row_tiles.number, outputs)[1]

    def visit_others(self, other, carry):
        """`carry = other(carry, i, j)` for all tiles; if one-sided, for one of each two mirrored ones."""
        rows, columns = self.row_tiles.number, self.column_tiles.number
        if self.row_tiles.is_single and self.column_tiles.is_single:
            return carry if self.one_sided else other(carry, 0, 0)

        def step(carry, index):
            if self.one_sided:  # with a distance of k tiles, around the end, for k = 1, 2, ...
                i = index % rows
                j = (i + index // rows + 1) % rows
            else:
                i, j = index // columns, index % columns
            return other(carry, i, j), ()

        steps = rows * (rows - 1) // 2 if self.one_sided else rows * columns
        return backend.scan(step, carry, steps)[0]

    def _kinds(self):
        """Int tensor over tiles: 0 general; 1 plain, its logits bounded; 2 plain. `None`: all are general."""
        plain = self.pairs.plain_tiles(self.row_tiles, self.column_tiles)
        if plain is None:
            return None
        rows, columns = (ops.max(ops.sum(ops.square(x), axis=-1)) for x in (self.rows, self.columns))
        is_bounded = ops.less_equal(ops.sqrt(rows) * ops.sqrt(columns), _BOUND)
        return ops.where(plain, ops.where(is_bounded, 1, 2), 0)


def rows_at_once(tile_size: TileSize) -> int | None:
    """`tile_size`, or what suits the device in the place of `"auto"`."""
    if tile_size != "auto":
        return tile_size
    return ACCELERATOR_TILE if backend.has_accelerator() else PROCESSOR_TILE


def column_tile(tile_size):
    return None if tile_size is None else max(tile_size, _TILE_ENTRIES // tile_size)


def _look(x, index, axis):
    """The part of a tile of rows, or of columns with axis 0, as it stands beside the tile's logits."""
    return None if x is None else ops.expand_dims(x[index], -axis if axis else -2)
