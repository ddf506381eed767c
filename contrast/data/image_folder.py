"""Pictures in a folder for each class, read when they are asked for."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import keras
import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


class ImageFolder:
    """The pictures below a folder, whose sub-folders are the classes, as an array that is not in memory.

    Indexed with row numbers it reads these pictures. Those read last are kept, up to a number of bytes.

    Args:
        folder: has a sub-folder for each class; pictures may lie deeper in it. Hidden files are left out.
        size: `(height, width)` that pictures are scaled to, whatever their proportions.
        channels: 3, or 1 for grey.
        kept_bytes: how many bytes of pictures are kept in memory.

    Attributes:
        classes: names of the sub-folders, sorted.
        ids: int array `(pictures,)`, the number of each picture's class.
        paths: list of the pictures' paths.
        shape: `(pictures, height, width, channels)`.

    Raises:
        ValueError: if there is no such folder, it has no sub-folder with a picture, or an argument is outside
            what is listed here; when indexed: if a picture cannot be read.
        ModuleNotFoundError: when a picture is read and Pillow is not installed.

    Example:

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     keras.utils.save_img(folder / name / "1.png", np.ones((6, 4, 3)), scale=False)
    >>> pictures = contrast.data.ImageFolder(folder, size=(8, 8))
    >>> pictures.classes, pictures.ids.tolist(), pictures[[1, 0, 1]].shape
    (['cat', 'dog'], [0, 1], (3, 8, 8, 3))
    """

    def __init__(
        self, folder: str | Path, size: tuple[int, int] = (64, 64), channels: int = 3, kept_bytes: int = 2**28
    ) -> None:
        folder = Path(folder)
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}.")
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"size must be (height, width) of at least 1, got {size}.")
        if not folder.is_dir():
            raise ValueError(f"folder must be an existing folder, got {folder}.")
        found = [path for path in sorted(folder.rglob("*")) if _is_picture(path.relative_to(folder))]
        named = [(path.relative_to(folder).parts[0], path) for path in found if path.is_file()]
        named = [(name, path) for name, path in named if path.parent != folder]
        if not named:
            raise ValueError(
                f"{folder} must hold a sub-folder for each class with pictures ({', '.join(SUFFIXES)}) in it."
            )
        self.folder, self.size, self.channels, self.kept_bytes = folder, tuple(size), channels, kept_bytes
        self.paths = [path for _, path in named]
        self.classes, self.ids = np.unique([name for name, _ in named], return_inverse=True)
        self.classes = self.classes.tolist()
        self.shape = (len(self.paths), *self.size, channels)
        self._kept, self._lock = OrderedDict(), threading.Lock()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The pictures of an int, a slice or row numbers, float32 from 0 to 1."""
        rows = np.arange(len(self))[rows]
        pictures = np.stack([self._picture(row) for row in np.atleast_1d(rows).tolist()])
        pictures = pictures.astype("float32") / 255
        return pictures if np.ndim(rows) else pictures[0]

    def subset(self, rows: Sequence[int] | np.ndarray) -> "ImageFolder":
        """The pictures of some rows as a folder of their own, with the same classes."""
        part = copy(self)
        part.paths, part.ids = [self.paths[row] for row in rows], self.ids[rows]
        part.shape = (len(part.paths), *self.shape[1:])
        part._kept, part._lock = OrderedDict(), threading.Lock()
        return part

    def _picture(self, row):
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
                return self._kept[row]
        picture = self._read(self.paths[row])
        with self._lock:
            self._kept[row] = picture
            while len(self._kept) * picture.nbytes > self.kept_bytes:
                self._kept.popitem(last=False)
        return picture

    def _read(self, path):
        mode = "grayscale" if self.channels == 1 else "rgb"
        try:
            image = keras.utils.load_img(path, color_mode=mode, target_size=self.size)
        except OSError as error:
            raise ValueError(f"{path} cannot be read as a picture: {error}") from error
        return keras.utils.img_to_array(image, data_format="channels_last").astype("uint8")


def _is_picture(path):
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)
