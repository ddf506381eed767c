"""Pictures that strangers send: bounded before they are decoded, and told apart by content, not by name."""

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from applications.pictures import decode

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_BYTES = 10 * 1024**2
MOST_PIXELS = 16_000_000
SHORTEST_SIDE = 16
LONGEST_SIDE = 1280  # what is kept of a larger picture


class UploadError(ValueError):
    """What is wrong with an upload, in words for the person who sent it."""


# the first bytes of a file, from a place on, and the suffix of what begins so
_BEGINNINGS = (
    (128, b"DICM", ".dcm"),  # what comes before it may be anything, also a picture
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (8, b"WEBP", ".webp"),
    (0, b"GIF87a", ".gif"),
    (0, b"GIF89a", ".gif"),
    (8, b"AVI ", ".avi"),
    (0, b"\x1aE\xdf\xa3", ".mkv"),
    *((4, name, ".mp4") for name in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
)


def check_size(path: str | Path) -> None:
    """Raises UploadError if an uploaded file is not there, or has more than 10 MB."""
    try:
        size = os.path.getsize(path)
    except OSError:
        raise UploadError("The file did not arrive. Please upload it again.") from None
    if size > MOST_BYTES:
        given = f"{size / 1024**2:.1f} MB"
        raise UploadError(f"The file has {given}; at most {MOST_BYTES // 1024**2} MB can be read.")


def suffix_by_content(path: str | Path) -> str | None:
    """The suffix that fits what a file begins with, such as `".png"`; `None` if it is of no known kind.

    `.mp4` stands for MOV and M4V as well, `.mkv` for WebM.
    """
    with open(path, "rb") as file:
        begins = file.read(132)
    return next((suffix for place, mark, suffix in _BEGINNINGS if begins[place:].startswith(mark)), None)


@contextmanager
def named_by_content(path: str | Path, suffix: str) -> Iterator[Path]:
    """A copy of a file under a name that ends on `suffix`, for readers that go by the name."""
    with tempfile.TemporaryDirectory(prefix="keras-contrast-") as folder:
        yield Path(shutil.copyfile(path, Path(folder) / f"upload{suffix}"))


def in_words(error: Exception, path: Path, noun: str) -> str:
    """A reader's message without the folder and the numbers of this machine.

    Args:
        error: what the reader raised.
        path: of the file that it read.
        noun: what to call the file, such as `"the video"`.
    """
    words = re.sub(r"\[Errno -?\d+\] ", "", str(error).replace(str(path), noun))
    words = re.sub(r"<_io\.[^>]*>", noun, words).replace(f": '{noun}'", "")
    return words[:1].upper() + words[1:]


def new_folder() -> Path:
    """A folder for files that a page offers, among those of `applications.serving.private_files`."""
    return Path(tempfile.mkdtemp(prefix="keras-contrast-", dir=os.environ.get("GRADIO_TEMP_DIR")))


def read_picture(path: str | Path) -> np.ndarray:
    """Decodes an uploaded picture, after a look at its size on disk and at its header.

    Args:
        path: of a file that may hold anything.

    Returns:
        `(height, width, 3)` uint8, upright, transparency on white, at most 1280 pixels long. Of an animation
        the first frame.

    Raises:
        UploadError: if the file is no picture of a known format, too large in bytes or pixels, too small, or
            damaged.
    """
    check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            picture = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise UploadError(
            "The file is not a picture that can be read here. Please send a PNG, JPEG or WebP file."
        ) from None
    except Image.DecompressionBombError:
        raise UploadError(_too_many_pixels("too many")) from None
    except Exception:  # decoders raise anything on damaged data
        raise UploadError(_DAMAGED) from None
    with picture:
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise UploadError(_too_many_pixels(f"{width} x {height}"))
        if min(width, height) < SHORTEST_SIDE:
            raise UploadError(
                f"The picture has {width} x {height} pixels; both sides must have at least {SHORTEST_SIDE}."
            )
        try:
            return decode(picture, LONGEST_SIDE)
        except Exception:
            raise UploadError(_DAMAGED) from None


_DAMAGED = "The file is damaged or cut off: the picture cannot be decoded. Please save and upload it again."


def _too_many_pixels(given: str) -> str:
    return (
        f"The picture has {given} pixels; at most {MOST_PIXELS // 10**6} million can be read. "
        "Please make it smaller."
    )
