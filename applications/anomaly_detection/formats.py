"""Folders of pictures as arrays: normal ones to train on, and test pictures with what is wrong in them.

pictures in the folder itself            normal pictures without classes
a folder of pictures for each class      normal pictures with a class each
train/good, test/<defect>, ground_truth  a category of MVTec-AD; `ground_truth/<defect>/<picture>_mask.png`
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from applications.pictures import image_files, listed, read_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
TRAIN, TEST, MASKS, GOOD = "train", "test", "ground_truth", "good"
_QUIET = 100  # fewer pictures are read without a progress bar

logger = logging.getLogger("contrast")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one size.

    Args:
        images: `(pictures, height, width, 3)` float32 in [0, 1].
        files: the path of each below its folder.
        labels: `(pictures,)` int32, positions in `classes`; `None` for a flat folder.
        classes: names of the class folders, sorted.
        skipped: file and reason of each picture that could not be read.
    """

    images: np.ndarray
    files: tuple[str, ...]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Category:
    """A category in the layout of MVTec-AD.

    Args:
        train: normal pictures to train on.
        test: test pictures; their classes are the kinds of defect and `good`.
        is_normal: `(test pictures,)` bool.
        masks: `(test pictures, height, width)` bool, True at the defect; `None` without a folder of masks.
    """

    train: Pictures
    test: Pictures
    is_normal: np.ndarray
    masks: np.ndarray | None

    def held_out(self) -> np.ndarray:
        """The normal test pictures."""
        return self.test.images[self.is_normal]


def load_folder(
    path: str | Path, size: int | tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The normal pictures of a folder of any of the three layouts.

    Args:
        path: the folder; of a category of MVTec-AD `train/good` is read.
        size: as for `read_pictures`.

    Returns:
        Images `(pictures, height, width, 3)` float32 in [0, 1], and labels `(pictures,)` or `None`.

    Raises:
        ValueError: as `read_pictures`.
    """
    path = Path(path)
    pictures = read_pictures(path / TRAIN / GOOD if is_category(path) else path, size)
    return pictures.images, pictures.labels


def is_category(path: str | Path) -> bool:
    """Whether a folder has the layout of MVTec-AD: it holds `train/good`."""
    return (Path(path) / TRAIN / GOOD).is_dir()


def read_pictures(path: str | Path, size: int | tuple[int, int] | None = None) -> Pictures:
    """Reads a flat folder of pictures, or one folder of pictures for each class.

    What cannot be read is left out and listed in one warning.

    Args:
        path: the folder.
        size: side, or height and width, to which each picture is scaled as a whole, whatever its proportions:
            a defect at the edge stays in the picture. `None` if all have one size.

    Raises:
        ValueError: if there is no such folder, pictures lie both in it and in folders of it, none can be
            read, sizes differ and `size` is not given, or it is below 1.
    """
    path = _folder(path)
    if size is not None and np.min(size) < 1:
        raise ValueError(f"size must be at least 1, got {size}.")
    files = image_files(path, SUFFIXES)
    relative = [file.relative_to(path) for file in files]
    depths = {len(file.parts) > 1 for file in relative}
    if not files:
        raise ValueError(f"{path} must hold pictures ({', '.join(SUFFIXES)}), got none.")
    if len(depths) == 2:
        flat = [str(file) for file in relative if len(file.parts) == 1]
        raise ValueError(
            f"{path} must hold either pictures or one folder for each class, got both: beside the folders "
            f"lie {listed(flat)}."
        )
    images, kept, skipped = _read(path, relative, size)
    if depths == {False}:
        return Pictures(images, kept, skipped=skipped)
    names = [Path(file).parts[0] for file in kept]
    classes = sorted(set(names))
    labels = np.array([classes.index(name) for name in names], "int32")
    return Pictures(images, kept, labels, tuple(classes), skipped)


def read_category(path: str | Path, size: int | tuple[int, int] | None = None) -> Category:
    """Reads a category of MVTec-AD, or a folder of your own in that layout.

    Args:
        path: holds `train/good`, `test/<defect>` with `test/good` among them, and `ground_truth/<defect>`
            with a mask for each picture of a defect, if pixels are to be judged.
        size: as for `read_pictures`; masks are scaled alike.

    Raises:
        ValueError: if a part is missing, pictures and masks do not belong together, or as for
            `read_pictures`.
    """
    path = _folder(path)
    for part in (f"{TRAIN}/{GOOD}", TEST):
        if not (path / part).is_dir():
            raise ValueError(f"{path} must hold the folders {TRAIN}/{GOOD} and {TEST}; {part} is missing.")
    train, test = read_pictures(path / TRAIN / GOOD, size), read_pictures(path / TEST, size)
    if test.labels is None:
        raise ValueError(f"{path / TEST} must hold a folder for each kind of defect, and {GOOD}, got none.")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            f"Pictures of {TRAIN} and {TEST} must have one size, got {train.images.shape[1:3]} and "
            f"{test.images.shape[1:3]}; give size=..."
        )
    is_normal = np.array([test.classes[label] == GOOD for label in test.labels])
    masks = _masks(path, test, is_normal) if (path / MASKS).is_dir() else None
    return Category(train, test, is_normal, masks)


def _folder(path):
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"path must be an existing folder, got {path}.")
    return path


def _read(path: Path, files: Sequence[Path], size):
    """Images of one size, the names of their files, and what could not be read and why."""
    images, kept, skipped = [], [], []
    for file in tqdm(files, desc=f"Reading {path.name}", unit="picture", disable=len(files) < _QUIET):
        try:
            images.append(_scaled(read_image(path / file), size))
        except ValueError as error:
            skipped.append(f"{file}: {error}")
        else:
            kept.append(file.as_posix())
    if skipped:
        logger.warning(
            "%d of %d pictures of %s cannot be read and are left out:\n  %s",
            len(skipped),
            len(files),
            path,
            "\n  ".join(skipped),
        )
    if not images:
        raise ValueError(f"None of the {len(files)} pictures of {path} can be read.")
    sizes = Counter(image.shape[:2] for image in images)
    if len(sizes) > 1:
        common = ", ".join(f"{height} x {width} ({count})" for (height, width), count in sizes.most_common(4))
        raise ValueError(
            f"Pictures of {path} must have one height and width, got {common}; give size=... to scale them."
        )
    return np.stack(images).astype("float32") / 255, tuple(kept), tuple(skipped)


def _scaled(image, size, nearest=False):
    """`image` as uint8 of this size, or as it is."""
    from PIL import Image

    if size is None:
        return image
    height, width = (size, size) if isinstance(size, int) else size
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((width, height), method))


def _masks(path, test, is_normal):
    """`(pictures, height, width)` bool; all False for normal pictures."""
    shape = test.images.shape[1:3]
    masks = np.zeros((len(test.files), *shape), bool)
    missing = []
    for row in np.flatnonzero(~is_normal):
        file = Path(test.files[row])
        mask = path / MASKS / file.parent / f"{file.stem}_mask.png"
        if not mask.is_file():
            missing.append(str(mask.relative_to(path)))
            continue
        pixels = read_image(mask)
        given = read_image(path / TEST / file).shape[:2]
        if pixels.shape[:2] != given:
            raise ValueError(f"{mask} must have the size of its picture, {given}, got {pixels.shape[:2]}.")
        masks[row] = _scaled(pixels, shape, nearest=True)[..., 0] > 127
    if missing:
        raise ValueError(f"{path} must hold a mask for each picture of a defect; missing: {listed(missing)}.")
    return masks
