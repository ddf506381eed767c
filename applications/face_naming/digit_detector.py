"""Finding handwritten digits in a picture, and cutting them out as MNIST does."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from applications.environment import check_packages
from applications.face_naming.digits import FIGURE, SIDE
from applications.face_naming.photo_checks import checked_integer

__all__ = ["crop_digits", "detect_digits"]

_LONGEST = 640  # pixels of the picture in which digits are looked for
_MOST_STROKES = 200
_CONTRAST = 0.15  # least difference of ink and background, of 1
_BACKGROUND = 0.12  # grey around the figures of the composed photos, whose crops a model learns from


def detect_digits(image: np.ndarray, at_most: int = 12) -> np.ndarray:
    """Finds bright figures on a dark background, or dark ones on a bright background.

    Figures are told from the background by Otsu's threshold after uneven light is taken out; strokes close to
    each other belong to one figure; what is small beside the other figures is a speck.

    Args:
        image: `(height, width)`, or `(height, width, channels)` with 1, 3 or 4 channels; uint8, or float in
            [0, 1].
        at_most: the number of figures kept, the largest ones.

    Returns:
        `(figures, 4)` float32: left, top, right, bottom of squares in pixels, left to right, in which the
        figure is as large as in an MNIST image; squares are cut off at the edge of the picture.

    Raises:
        ImportError: if scikit-image is not installed.
        ValueError: if the image is not of that shape and range, or `at_most` below 1.
    """
    filters, measure = _skimage("filters"), _skimage("measure")
    at_most = checked_integer("at_most", at_most, 1)
    ink = _ink(image)
    height, width = ink.shape
    scale = max(1.0, max(height, width) / _LONGEST)
    if scale > 1:
        smaller = (max(1, round(height / scale)), max(1, round(width / scale)))
        ink = _skimage("transform").resize(ink, smaller, anti_aliasing=True)
    ink = ndimage.gaussian_filter(_without_background(ink), 0.6)
    if ink.max() < _CONTRAST:
        return np.zeros((0, 4), "float32")
    mask = ink > max(filters.threshold_otsu(ink), _CONTRAST / 2)
    strokes = measure.regionprops(measure.label(mask, connectivity=2))
    strokes = [stroke for stroke in strokes if stroke.area > 2]
    if not strokes:
        return np.zeros((0, 4), "float32")
    strokes.sort(key=lambda stroke: stroke.area, reverse=True)
    boxes = np.array([stroke.bbox for stroke in strokes[:_MOST_STROKES]])[:, [1, 0, 3, 2]]
    boxes = _figures(_merged(boxes), mask.shape)
    boxes = boxes[np.argsort(-_lengths(boxes), kind="stable")[:at_most]]
    squares = _squares(boxes[np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable")]) * scale
    return np.clip(squares, 0, [width, height, width, height]).astype("float32")


def crop_digits(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Cuts out figures and normalises them as MNIST does.

    The longer side becomes 20 pixels, the centre of mass the middle of the crop; ink is stretched to white,
    the background is the dark grey of the composed photos.

    Args:
        image: as in `detect_digits`.
        boxes: `(figures, 4)` left, top, right, bottom in pixels.

    Returns:
        `(figures, 28, 28, 1)` float32 in [0, 1], bright on dark.

    Raises:
        ImportError: if scikit-image is not installed.
        ValueError: if image or boxes are not of that shape and range.
    """
    ink = _ink(image)
    boxes = np.asarray(boxes, "float32")
    if boxes.size == 0:
        return np.zeros((0, SIDE, SIDE, 1), "float32")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"boxes must be finite and (figures, 4), got shape {boxes.shape}.")
    height, width = ink.shape
    corners = np.clip(np.round(boxes), 0, [width, height, width, height]).astype(int)
    crops = [_normalised(ink[top:bottom, left:right]) for left, top, right, bottom in corners]
    return np.stack(crops)[..., None]


def _normalised(patch: np.ndarray) -> np.ndarray:
    canvas = np.zeros((SIDE, SIDE), "float32")
    if patch.size and np.ptp(patch) >= _CONTRAST:
        dark = np.percentile(patch, 40)
        patch = ((patch - dark) / max(np.percentile(patch, 99) - dark, _CONTRAST)).clip(0, 1)
        rows, columns = np.nonzero(patch > 0.3)
        figure = patch[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        scale = FIGURE / max(figure.shape)
        shape = [max(1, round(side * scale)) for side in figure.shape]
        figure = _skimage("transform").resize(figure, shape, anti_aliasing=scale < 1)
        centre = np.array(ndimage.center_of_mass(figure + 1e-6))
        top, left = np.clip(np.round(SIDE / 2 - centre).astype(int), 0, SIDE - np.array(shape))
        canvas[top : top + shape[0], left : left + shape[1]] = figure
    return _BACKGROUND + (1 - _BACKGROUND) * canvas


def _ink(image: Any) -> np.ndarray:
    """The picture as `(height, width)` float32 in [0, 1], bright on dark."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ValueError(
            "image must be (height, width), or (height, width, channels) with 1, 3 or 4 channels, "
            f"got shape {image.shape}."
        )
    grey = image.astype("float32")
    if image.dtype == np.uint8:
        grey /= 255
    if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
        raise ValueError(f"image must be uint8 or float in [0, 1], got {image.dtype} out of range.")
    if grey.ndim == 3:
        alpha = grey[..., 3] if grey.shape[2] == 4 else 1
        grey = grey[..., :3].mean(axis=2) * alpha + (1 - alpha)  # transparent is white, as a browser shows it
    middle = (np.percentile(grey, 1) + np.percentile(grey, 99)) / 2
    return 1 - grey if (grey > middle).mean() > 0.5 else grey


def _without_background(ink: np.ndarray) -> np.ndarray:
    """Takes out what is wider than strokes."""
    size = max(9, round(0.15 * min(ink.shape)))
    background = ndimage.gaussian_filter(ndimage.grey_opening(ink, size=(size, size)), size / 4)
    return (ink - background).clip(0)


def _merged(boxes: np.ndarray) -> np.ndarray:
    """Joins boxes of strokes until none belongs to another."""
    while True:
        count, figure = connected_components(_belong_together(boxes), directed=False)
        if count == len(boxes):
            return boxes
        boxes = np.array(
            [[*boxes[figure == k, :2].min(axis=0), *boxes[figure == k, 2:].max(axis=0)] for k in range(count)]
        )


def _belong_together(boxes: np.ndarray) -> np.ndarray:
    """`(boxes, boxes)`: nearly touching, or one close above the other."""
    one, other = boxes[:, None], boxes[None]
    gaps = np.maximum(one[..., :2], other[..., :2]) - np.minimum(one[..., 2:], other[..., 2:])
    lengths = _lengths(boxes)
    longer = np.maximum(lengths[:, None], lengths[None])
    widths = boxes[:, 2] - boxes[:, 0]
    stacked = -gaps[..., 0] >= 0.5 * np.minimum(widths[:, None], widths[None])
    return gaps.max(axis=-1) <= np.where(stacked, 0.25, 0.1) * longer


def _figures(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Leaves out specks, and what reaches from edge to edge in both directions."""
    lengths = _lengths(boxes)
    specks = lengths < max(6, 0.4 * lengths.max(initial=0))
    everything = (boxes[:, :2] <= 1).all(axis=1) & (boxes[:, 2:] >= np.array(shape[::-1]) - 1).all(axis=1)
    return boxes[~specks & ~everything]


def _lengths(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1)


def _squares(boxes: np.ndarray) -> np.ndarray:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = _lengths(boxes)[:, None] * SIDE / FIGURE / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def _skimage(module: str) -> ModuleType:
    check_packages("skimage")
    return importlib.import_module(f"skimage.{module}")
