"""Rows in tiles of equal size."""

from keras import ops

from contrast import backend


class Tiles:
    """`count` rows (or columns) in tiles of equal size; the last is filled up with the last row.

    Args:
        count: int or scalar tensor.
        size: the largest size of a tile, or `None`.

    Attributes:
        is_single: whether there is one tile only, known beforehand.
        number: how many tiles there are, int or scalar tensor.
        size: rows of a tile, int or scalar tensor.
    """

    def __init__(self, count, size):
        self.count = count
        self.is_single = size is None or (isinstance(count, int) and count <= size)
        self.number = 1 if self.is_single else (count + size - 1) // size
        self.size = (count + self.number - 1) // self.number

    @property
    def is_exact(self):
        """Whether the tiles are known to hold no row twice."""
        return self.is_single or (isinstance(self.count, int) and self.count == self.number * self.size)

    def numbers(self, index):
        """Row numbers of a tile, or `None` of the single one."""
        if self.is_single:
            return None
        return ops.minimum(index * self.size + ops.arange(self.size, dtype="int32"), self.count - 1)

    def valid(self, index):
        """Which rows of a tile are no repetition, or `None` where all are known to be none."""
        return (
            None if self.is_exact else index * self.size + ops.arange(self.size, dtype="int32") < self.count
        )

    def split(self, x):
        """`(count, ...)` as `(tiles, rows of a tile, ...)`."""
        if not self.is_exact:
            numbers = ops.arange(self.number * self.size, dtype="int32")
            x = ops.take(x, ops.minimum(numbers, self.count - 1), axis=0)
        return ops.reshape(x, (self.number, self.size, *x.shape[1:]))

    def join(self, x):
        """What `split` gives as `(count, ...)` again."""
        x = ops.reshape(x, (-1, *x.shape[2:]))
        return x if self.is_exact else x[: self.count]

    def visit(self, body, carry, outputs):
        """`carry, outs = body(carry, numbers, valid)` for each tile, `None` standing for all.

        Each of the `outputs` tensors that `body` puts out has the tile's rows on its first axis; they come
        back joined along it.
        """
        if self.is_single:
            return body(carry, None, None)

        def step(carry, index):
            return body(carry, self.numbers(index), self.valid(index))

        carry, stacks = backend.scan(step, carry, self.number, outputs)
        return carry, tuple(map(self.join, stacks))


def masked(x, mask):
    return x if mask is None else ops.where(mask, x, ops.zeros_like(x))


def count(x):
    return ops.shape(x)[0]
