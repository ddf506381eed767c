import math
from collections.abc import Sequence

import keras
from keras import ops

from contrast.augmentation.images import checked_pair
from contrast.augmentation.masks import checked_count, lowest, ranks
from contrast.seeds import apart
from contrast.typing import Tensor


def block_mask(
    batch: int | Tensor,
    height: int,
    width: int,
    ratio: float | None = None,
    count: int | None = None,
    area: Sequence[float] | None = None,
    aspect: Sequence[float] = (0.3, 1 / 0.3),
    blocks: int | None = None,
    seed: int | keras.random.SeedGenerator | None = None,
) -> Tensor:
    """Hides rectangles of a grid of patches, together the same number of patches in every row of the batch.

    Each row draws blocks one after the other, with an area, an aspect ratio (log-uniformly) and a place of
    their own; they may overlap. Their patches are hidden until there are `count` of them: the last block is
    cut off after some of its rows. In the rare case that all blocks together hold fewer, single patches make
    up for it. One block a row: `area=(count, count)`, the targets of I-JEPA with `aspect=(0.75, 1.5)`.

    Args:
        batch: number of rows, an int or a tensor.
        height: patches from top to bottom.
        width: patches from left to right.
        ratio: share of the patches that is hidden, from 0 to 1; the number is rounded. Or give `count`.
        count: how many patches are hidden.
        area: smallest and largest number of patches in a block; `None` stands for 16 patches, or `count` if
            that is fewer, to `count`.
        aspect: smallest and largest height / width of a block; where it does not fit, the nearest that does.
        blocks: how many are drawn at most; `None` stands for so many that they hold 4 times the grid.
        seed: a `keras.random.SeedGenerator`, whose state moves on; an int draws the same mask at each call.

    Returns:
        Bool `(batch, height * width)`, `True` where hidden, exactly `count` in each row; patches go from left
        to right, then from top to bottom. `token_ids` turns it into places.

    Raises:
        ValueError: if a number is outside its range, or unless one of `ratio` and `count` is given.

    Example:

    >>> mask = contrast.augmentation.block_mask(4, 14, 14, ratio=0.4, seed=keras.random.SeedGenerator(0))
    >>> keras.ops.convert_to_numpy(mask).sum(axis=1).tolist()
    [78, 78, 78, 78]

    Reference: [Bao et al., 2021](https://arxiv.org/abs/2106.08254), algorithm 1.
    """
    patches = height * width
    count = checked_count(patches, ratio, count)
    if area is None:
        area = (max(1, min(16, count)), max(1, count))
    area, aspect = checked_pair(area, "area", 0, patches), checked_pair(aspect, "aspect", 0)
    if blocks is None:
        blocks = math.ceil(4 * patches / (sum(area) / 2))
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, got {blocks}.")
    first_seed, second_seed = apart(seed, 2) if isinstance(seed, int) else (seed, seed)
    first = ops.reshape(_first_block(batch, height, width, area, aspect, blocks, first_seed), (-1, patches))
    single = ranks(keras.random.uniform((batch, patches), seed=second_seed, dtype="float32"))
    within = ops.where(first < blocks, ops.arange(patches, dtype="int32"), single)
    return lowest(first * patches + within, count)


def _first_block(batch, height, width, area, aspect, blocks, seed):
    """Int32 `(batch, height, width)`: the first block that holds each patch, or `blocks` if none does."""
    draws = keras.random.uniform((4, batch, blocks), seed=seed, dtype="float32")
    size = ops.round(area[0] + draws[0] * (area[1] - area[0]))
    low, high = (math.log(bound) for bound in aspect)
    # Rounded up: a block holds no fewer patches than it has drawn.
    tall = ops.ceil(ops.sqrt(size * ops.exp(low + draws[1] * (high - low))) - 1e-3)
    tall = ops.clip(tall, 1, height)
    wide = ops.minimum(ops.ceil(size / tall - 1e-3), width)
    tall = ops.minimum(ops.maximum(tall, ops.ceil(size / wide - 1e-3)), height)
    top, left = (
        ops.floor(draw * (side - extent + 1))
        for draw, side, extent in ((draws[2], height, tall), (draws[3], width, wide))
    )
    rows = _between(top, tall, height)[:, :, :, None]
    columns = _between(left, wide, width)[:, :, None, :]
    number = ops.arange(blocks, dtype="int32")[:, None, None]
    return ops.min(ops.where(ops.logical_and(rows, columns), number, blocks), axis=1)


def _between(start, extent, side):
    """Bool `(batch, blocks, side)`: the places that a block covers."""
    places = ops.arange(side, dtype="float32")
    start, extent = start[:, :, None], extent[:, :, None]
    return ops.logical_and(places >= start, places < start + extent)
