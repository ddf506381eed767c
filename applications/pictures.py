"""Pictures on disk as arrays: upright, in eight bits, transparency on white."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from applications.environment import check_packages

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
_LISTED = 10  # names that a message spells out


def read_image(path: str | Path, longest_side: int | None = None) -> np.ndarray:
    """Reads a picture of any common format and mode.

    Args:
        path: of the file.
        longest_side: a larger picture is made smaller, to that many pixels; `None` keeps its size.

    Returns:
        `(height, width, 3)` uint8: turned as its EXIF orientation says, 16 bits scaled to 8, grey as three
        equal channels, transparency on white. Of an animation the first frame.

    Raises:
        MissingPackageError: if Pillow is not installed.
        ValueError: if there is no such file, or it is no picture, is damaged, or is too large to be safe.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "grey.png"
    >>> Image.new("L", (6, 4), 128).save(path)
    >>> read_image(path).shape
    (4, 6, 3)
    """
    with opened(path) as picture:
        return decode(picture, longest_side)


@contextmanager
def opened(path: str | Path) -> Iterator["Image.Image"]:
    """The picture of a file for a `with` block. What goes wrong in the block is the file's fault.

    Raises:
        MissingPackageError: if Pillow is not installed.
        ValueError: as `read_image`, of any error in the block.
    """
    check_packages("PIL")
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd metadata, and on sizes below the limit of the error
            with Image.open(path, formats=FORMATS) as picture:
                yield picture
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path} is no picture of a known format ({', '.join(FORMATS)}).") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has too many pixels: {error}") from None
    except Exception as error:  # decoders raise anything on damaged data
        raise ValueError(f"{path} cannot be decoded: {error}") from error


def decode(picture: "Image.Image", longest_side: int | None = None) -> np.ndarray:
    """The pixels of an opened picture, as `read_image` returns them.

    Args:
        picture: as `PIL.Image.open` returns it.
        longest_side: as for `read_image`.

    Raises:
        ValueError: if pixels are floating point numbers, whose white is not known.
        Exception: whatever Pillow raises on damaged data.
    """
    from PIL import Image, ImageOps

    if longest_side is not None:
        picture.draft("RGB", (longest_side, longest_side))  # JPEG is decoded no larger than needed
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise ValueError("its pixels are floating point numbers; save it with 8 or 16 bits a channel.")
    if picture.mode.startswith("I"):  # 16 bits a pixel
        picture = Image.fromarray((np.asarray(picture, "float32") / 257).clip(0, 255).astype("uint8"))
    if longest_side is not None:
        picture.thumbnail((longest_side, longest_side))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB"))


def image_files(folder: str | Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files below a folder that end on one of `suffixes`, in any case, sorted; hidden ones are left out.

    Args:
        folder: where to look, and in the folders in it.
        suffixes: lower case with the dot, such as `(".jpg", ".png")`.
    """
    folder = Path(folder)
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def relative_name(name: str) -> str:
    """`name` as a path that stays inside the folder that it is relative to.

    Returns:
        the path with `/` between its parts.

    Raises:
        ValueError: if it is empty, absolute, or climbs with `..`.
    """
    name = name.strip()
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts:
        raise ValueError(f"{name!r} must be a path below the folder of pictures, without '..'.")
    return str(path)


def listed(names: list[str]) -> str:
    """The first names of a list, for a message."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
