"""What the layers on images share: checks of their input, and weighted sums over rows and columns."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.typing import Tensor


def checked_value_range(value_range: Sequence[float] | None) -> tuple[float, float] | None:
    """The range as a pair of floats, low below high, or `None`."""
    if value_range is None:
        return None
    if not isinstance(value_range, tuple | list) or len(value_range) != 2 or value_range[0] >= value_range[1]:
        raise ValueError(f"value_range must be a pair, low below high, or None, got {value_range!r}.")
    return float(value_range[0]), float(value_range[1])


def checked_pair(
    pair: Sequence[float], name: str, lowest: float, highest: float = float("inf")
) -> tuple[float, float]:
    """An ordered pair of floats above `lowest` and up to `highest`."""
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not lowest < pair[0] <= pair[1] <= highest:
        above = f"above {lowest}" + (f" and at most {highest}" if highest < float("inf") else "")
        raise ValueError(f"{name} must be a pair (low, high) of numbers {above}, got {pair!r}.")
    return float(pair[0]), float(pair[1])


def check_is_array(images: Any, layer: str) -> None:
    """A list cannot be a batch: its images may differ in size."""
    if isinstance(images, list | tuple):
        raise ValueError(
            f"{layer} needs one array of images of one size, got a {type(images).__name__} of {len(images)}; "
            "scale them to one size, and np.stack them."
        )


def check_is_no_integer(images: Tensor, value_range: Sequence[float], layer: str) -> None:
    """Integers are no images from 0 to 1; their type shows in a compiled step as well."""
    low, high = value_range
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "int" in dtype and high <= 1:
        raise ValueError(
            f"{layer} expects values from {low} to {high}, got {dtype} images; divide them by 255, or set "
            "value_range=(0, 255) on layers that have it."
        )


def check_images(images: Tensor, value_range: Sequence[float] | None, layer: str) -> None:
    """Rank and type; the values too, where there are any: a step that is being compiled has none."""
    check_is_array(images, layer)
    if len(images.shape) != 4 or None in tuple(images.shape[1:3]):
        raise ValueError(
            f"{layer} needs images (batch, height, width, channels) of known height and width, got shape "
            f"{tuple(images.shape)}."
        )
    if value_range is None:
        return
    low, high = value_range
    check_is_no_integer(images, value_range, layer)
    try:
        smallest, largest = (
            float(ops.convert_to_numpy(bound)) for bound in (ops.min(images), ops.max(images))
        )
    except (TypeError, ValueError, NotImplementedError, RuntimeError):
        return  # the tensor is symbolic
    if math.isnan(smallest) or math.isnan(largest):
        raise ValueError(f"{layer} needs images without NaN; look for it with np.isnan(images).any().")
    slack = 0.01 * (high - low)
    if smallest < low - slack or largest > high + slack:
        raise ValueError(
            f"{layer} expects values from {low} to {high}, got values from {smallest:.4g} to {largest:.4g}; "
            "scale the images, or set value_range."
        )


def weighted_sums(
    images: Tensor, rows: Tensor, columns: Tensor, value_range: Sequence[float] | None
) -> Tensor:
    """Each output pixel is a weighted sum over rows and columns of its image.

    Args:
        images: `(batch, height, width, channels)`.
        rows: `(batch, new height, height)` weights of at least 0, scaled here to sum to 1.
        columns: `(batch, new width, width)`, likewise.
        value_range: where rounding may not lead out of; `None` for no such limit.

    Returns:
        `(batch, new height, new width, channels)`, float32.
    """
    rows = rows / ops.sum(rows, axis=-1, keepdims=True)
    columns = columns / ops.sum(columns, axis=-1, keepdims=True)
    images = ops.einsum("bih,bhwc->biwc", rows, ops.cast(images, "float32"))
    images = ops.einsum("bjw,biwc->bijc", columns, images)
    return images if value_range is None else ops.clip(images, *value_range)
