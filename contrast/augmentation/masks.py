"""Masks over tokens, with the same number hidden in every row, so that all shapes are static."""

import keras
from keras import ops

from contrast.typing import Tensor


def random_mask(
    batch: int | Tensor,
    tokens: int,
    ratio: float | None = None,
    count: int | None = None,
    seed: int | keras.random.SeedGenerator | None = None,
) -> Tensor:
    """Hides the same number of tokens in every row, each row its own random ones.

    Args:
        batch: number of rows, an int or a tensor.
        tokens: how many tokens a row has, an int.
        ratio: share of the tokens that is hidden, from 0 to 1; the number is rounded. Or give `count`.
        count: how many tokens are hidden.
        seed: a `keras.random.SeedGenerator`, whose state moves on; an int draws the same mask at each call.

    Returns:
        Bool `(batch, tokens)`, `True` where hidden, exactly `count` in each row. `token_ids` turns it into
        places.

    Raises:
        ValueError: unless one of `ratio` and `count` is given, within its range.

    Example:

    >>> mask = contrast.augmentation.random_mask(4, 16, ratio=0.75, seed=keras.random.SeedGenerator(0))
    >>> keras.ops.convert_to_numpy(mask).sum(axis=1).tolist()
    [12, 12, 12, 12]

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), section 3.
    """
    count = checked_count(tokens, ratio, count)
    return ranks(keras.random.uniform((batch, tokens), seed=seed, dtype="float32")) < count


def token_ids(mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The places of seen and of hidden tokens, in ascending order, for `keras.ops.take_along_axis`.

    Args:
        mask: bool `(batch, tokens)`, `True` for exactly `count` tokens of each row.
        count: that number, an int: the shapes follow from it.

    Returns:
        The pair of int32 arrays `(batch, tokens - count)` of seen and `(batch, count)` of hidden tokens.

    Raises:
        ValueError: if `mask` has another rank, or `count` is not from 0 to the number of tokens.

    Example:

    >>> seen, hidden = contrast.augmentation.token_ids(np.array([[True, False, False, True]]), 2)
    >>> keras.ops.convert_to_numpy(seen).tolist(), keras.ops.convert_to_numpy(hidden).tolist()
    ([[1, 2]], [[0, 3]])
    """
    if len(mask.shape) != 2:
        raise ValueError(f"mask must be (batch, tokens), got shape {tuple(mask.shape)}.")
    tokens = mask.shape[1]
    count = checked_count(tokens, count=count)
    places = ops.arange(tokens, dtype="int32")
    order = ops.argsort(ops.cast(mask, "int32") * tokens + places, axis=1)
    order = ops.cast(order, "int32")
    return order[:, : tokens - count], order[:, tokens - count :]


def checked_count(tokens: int, ratio: float | None = None, count: int | None = None) -> int:
    """How many of the tokens are hidden, from either argument."""
    if (ratio is None) == (count is None):
        raise ValueError(f"give one of ratio and count, got ratio={ratio} and count={count}.")
    if ratio is not None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio must be from 0 to 1, got {ratio}.")
        return round(ratio * tokens)
    if not 0 <= count <= tokens:
        raise ValueError(f"count must be from 0 to the number of tokens, {tokens}, got {count}.")
    return int(count)


def lowest(keys: Tensor, count: int) -> Tensor:
    """Bool `(batch, tokens)`, `True` for the `count` lowest keys of each row; no two of a row are equal."""
    if count == 0:
        return ops.zeros_like(keys, dtype="bool")
    return keys <= ops.sort(keys, axis=1)[:, count - 1 : count]


def ranks(keys: Tensor) -> Tensor:
    """Int32 `(batch, tokens)`: how many keys of the row come before each; equal keys differ in rank."""
    return ops.cast(ops.argsort(ops.argsort(keys, axis=1), axis=1), "int32")
