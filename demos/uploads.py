"""Pictures that strangers send: bounded before they are decoded, and told apart by content, not by name."""

import os
import warnings
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
    try:
        size = os.path.getsize(path)
    except OSError:
        raise UploadError("The file did not arrive. Please upload it again.") from None
    if size > MOST_BYTES:
        given = f"{size / 1024**2:.1f} MB"
        raise UploadError(f"The file has {given}; at most {MOST_BYTES // 1024**2} MB can be read.")
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
