import keras
from keras import ops

from contrast.augmentation.masks import checked_count, lowest, ranks
from contrast.typing import Tensor


def span_mask(
    batch: int | Tensor,
    length: int,
    span: int = 10,
    start: float | None = None,
    ratio: float | None = None,
    count: int | None = None,
    seed: int | keras.random.SeedGenerator | None = None,
) -> Tensor:
    """Hides spans of a sequence: a random number of steps, or exactly the same in every row.

    With `start` each step begins a span with that probability; spans may overlap, so that about $1 - (1 -
    start)^{span}$ of the steps are hidden, in some rows none. With `ratio` or `count` spans are drawn one
    after the other, each from a new random start, until `count` steps are hidden; the last span is cut off.
    Spans lie wholly within the sequence.

    Args:
        batch: number of rows, an int or a tensor.
        length: steps of a row, an int.
        span: steps of a span.
        start: probability, from 0 to 1, that a span begins at a step; wav2vec 2.0: 0.065 with spans of 10.
        ratio: share of the steps that is hidden, from 0 to 1; the number is rounded.
        count: how many steps are hidden.
        seed: a `keras.random.SeedGenerator`, whose state moves on; an int draws the same mask at each call.

    Returns:
        Bool `(batch, length)`, `True` where hidden. `token_ids` turns a mask of an exact count into places.

    Raises:
        ValueError: if `span` is not from 1 to `length`, unless one of `start`, `ratio` and `count` is given,
            or if it is outside its range.

    Example:

    >>> mask = contrast.augmentation.span_mask(4, 50, span=5, count=20, seed=keras.random.SeedGenerator(0))
    >>> keras.ops.convert_to_numpy(mask).sum(axis=1).tolist()
    [20, 20, 20, 20]

    Reference: [Baevski et al., 2020](https://arxiv.org/abs/2006.11477), section 3.1.
    """
    if not 1 <= span <= length:
        raise ValueError(f"span must be from 1 to the length of the sequence, {length}, got {span}.")
    if [start, ratio, count].count(None) != 2:
        raise ValueError(
            f"give one of start, ratio and count, got start={start}, ratio={ratio} and count={count}."
        )
    noise = keras.random.uniform((batch, length - span + 1), seed=seed, dtype="float32")
    if start is not None:
        if not 0 <= start <= 1:
            raise ValueError(f"start must be from 0 to 1, got {start}.")
        return _first_span(ops.where(noise < start, 0, 1), span) < 1
    count = checked_count(length, ratio, count)
    first = _first_span(ranks(noise), span)
    return lowest(first * length + ops.arange(length, dtype="int32"), count)


def _first_span(turns, span):
    """`(batch, length)`: the smallest turn of the spans that hold each step, from `(batch, starts)`."""
    none = turns.shape[1]
    padded = ops.pad(turns, ((0, 0), (span - 1, span - 1)), constant_values=none)
    length = none + span - 1
    return ops.min(ops.stack([padded[:, shift : shift + length] for shift in range(span)]), axis=0)
