"""Visitors' pictures of single digits, made like those of the collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from demos.embedding_explorer_model import SIDE
from demos.uploads import UploadError, read_picture

MOST = 6
_INK = 20  # pixels of the longer side of a digit, as in MNIST


def read_digits(paths: Sequence[str | Path] | None) -> np.ndarray:
    """Reads pictures as `(count, 28, 28, 1)`, float32 from 0 to 1.

    Raises:
        UploadError: if there is none, there are too many, or one cannot be read or shows one colour.
    """
    if not paths:
        raise UploadError("Please choose a picture first.")
    if len(paths) > MOST:
        raise UploadError(f"You chose {len(paths)} pictures; at most {MOST} can be looked at together.")
    images = []
    for number, path in enumerate(paths, 1):
        try:
            images.append(as_digit(read_picture(path)))
        except UploadError as error:
            raise UploadError(f"Picture {number}: {error}") from None
    return np.stack(images)


def as_digit(picture: np.ndarray) -> np.ndarray:
    """A picture `(height, width, 3)` uint8 of a digit as MNIST has it: white on black, centred, 28 x 28.

    Raises:
        UploadError: if it shows nothing but one colour.
    """
    grey = picture.astype("float32").mean(axis=2) / 255
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))  # dark on light or light on dark
    if ink.max() < 0.1:
        raise UploadError("it shows nothing but one colour.")
    ink = np.clip(ink / ink.max() * 1.25 - 0.25, 0, 1)  # paper is not quite even
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 0.3) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _INK / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    small = Image.fromarray((ink * 255).astype("uint8")).resize((width, height), Image.Resampling.LANCZOS)
    small = np.asarray(small, "float32") / 255
    small /= max(small.max(), 1e-6)
    top, left = (_offset(small.sum(axis=axis), side) for axis, side in ((1, height), (0, width)))
    image = np.zeros((SIDE, SIDE, 1), "float32")
    image[top : top + height, left : left + width, 0] = small
    return image


def _offset(mass, side):
    """Where a side begins, so that its centre of mass lies in the middle, as in MNIST."""
    centre = float((np.arange(side) + 0.5) @ mass / mass.sum())
    return int(np.clip(round(SIDE / 2 - centre), 0, SIDE - side))
