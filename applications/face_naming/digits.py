"""MNIST digits as people: photos composed of them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["FIGURE", "SIDE", "compose_photo"]

SIDE = 28  # pixels of an MNIST image
FIGURE = 20  # pixels of the longer side of the figure in it
HEIGHT, WIDTH = 64, 128
_GAP = 4  # pixels between two digits, at least
_MARGIN = 2  # pixels between a digit and the edge


def compose_photo(digits: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places digits, left to right and apart from each other, on a dark, uneven, slightly grainy background.

    Args:
        digits: `(faces, 28, 28)` uint8, at most three.
        generator: draws places, light and grain.

    Returns:
        the photo, `(64, 128)` uint8, and the boxes of the digits, `(faces, 4)` left, top, right, bottom.
    """
    light = _background(generator)
    count = len(digits)
    spare = WIDTH - 2 * _MARGIN - count * SIDE - (count - 1) * _GAP
    left = _MARGIN + np.sort(generator.integers(0, spare + 1, count)) + np.arange(count) * (SIDE + _GAP)
    top = generator.integers(_MARGIN, HEIGHT - SIDE - _MARGIN + 1, count)
    ink = np.zeros((HEIGHT, WIDTH), "float32")
    for digit, x, y in zip(digits, left, top, strict=True):
        ink[y : y + SIDE, x : x + SIDE] = digit / 255 * generator.uniform(0.85, 1.0)
    halo = ndimage.gaussian_filter(ink, 4, truncate=3) * 0.25
    light = 1 - (1 - light) * (1 - ink) * (1 - halo)  # light adds up without exceeding white
    light += generator.standard_normal(light.shape, "float32") * 0.015
    image = (light.clip(0, 1) * 255).astype("uint8")
    return image, np.stack([left, top, left + SIDE, top + SIDE], axis=1).astype("float32")


def _background(generator: np.random.Generator) -> np.ndarray:
    """A dim room: a lamp behind the people, a paler floor, faint large patches, darker corners."""
    y = np.linspace(-1, 1, HEIGHT, dtype="float32")[:, None]
    x = np.linspace(-1, 1, WIDTH, dtype="float32")[None, :]
    lamp_x, lamp_y, horizon = generator.uniform((-0.8, -0.8, 0.2), (0.8, 0.0, 0.7))
    lamp = np.exp(-(((x - lamp_x) / 0.8) ** 2) - ((y - lamp_y) / 0.9) ** 2)
    floor = 1 / (1 + np.exp((horizon - y) / 0.06)) * (0.6 + 0.4 * np.exp(-((x - lamp_x) ** 2)))
    rows = np.cos(np.pi * np.arange(4)[:, None] * (y.T + 1) / 2)
    columns = np.cos(np.pi * np.arange(6)[:, None] * (x + 1) / 2)
    patches = rows.T @ generator.standard_normal((4, 6)).astype("float32") @ columns
    patches /= np.abs(patches).max()
    vignette = 1 - 0.4 * (x**2 + y**2) / 2
    return ((0.07 + 0.14 * lamp + 0.06 * floor + 0.02 * patches) * vignette).clip(0.01).astype("float32")
