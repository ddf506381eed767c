"""From uploaded radiographs and texts to a study, or to words about what is wrong with them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from applications.environment import MissingPackageError
from applications.pictures import FORMATS
from applications.report_generation.facts import facts_from_report
from applications.report_generation.image_files import fit_size, load_image
from applications.report_generation.study import UNKNOWN_VIEW, PriorVisit, Study, View
from demos.uploads import (
    MOST_PIXELS,
    SHORTEST_SIDE,
    UploadError,
    check_size,
    in_words,
    named_by_content,
    suffix_by_content,
)

MOST_VIEWS = 3
KINDS = (".png", ".jpg", ".dcm")  # as `suffix_by_content` calls them
LONGEST_TEXT = 600  # characters of an indication or a report


def read_study(
    views: Sequence[tuple[str | None, str]],
    prior: tuple[str | None, str],
    prior_report: str | None,
    indication: str | None,
    size: tuple[int, int],
) -> Study:
    """A study of what a visitor sent.

    Args:
        views: path and position of each view; paths are `None` where nothing was sent. The first one that
            was sent is the main view.
        prior: the same of the image of the visit before.
        prior_report: of the visit before; blank if there is none.
        indication: why the images were taken; blank if it is not known.
        size: height and width of the images that the model takes.

    Raises:
        UploadError: if no view was sent, a file cannot be used, one image was sent twice, or a text is too
            long.
    """
    sent = [(path, position) for path, position in views if path]
    if not sent:
        raise UploadError("Please choose at least one image of the current visit.")
    read = tuple(_view(path, position, size) for path, position in sent)
    before = _view(*prior, size) if prior[0] else None
    report = _text(prior_report, "previous report")
    known = before is not None or report
    images = [*read, before] if before is not None else read
    if len({view.key for view in images}) < len(images):
        raise UploadError(
            "One image was sent twice; each view and the prior image must be images of their own."
        )
    return Study(
        "upload",
        "upload",
        read,
        indication=_text(indication, "indication") or None,
        prior=PriorVisit(before, report or None, facts_from_report(report)) if known else None,
    )


def _text(text: str | None, name: str) -> str:
    text = " ".join((text or "").split())
    if len(text) > LONGEST_TEXT:
        raise UploadError(f"The {name} has {len(text)} characters; at most {LONGEST_TEXT} can be read.")
    return text


def _view(path: str, position: str, size: tuple[int, int]) -> View:
    image = fit_size(read_radiograph(path), size)
    return View(image, position or UNKNOWN_VIEW, hashlib.sha256(Path(path).read_bytes()).hexdigest())


def read_radiograph(path: str) -> np.ndarray:
    """Decodes an uploaded radiograph, after a look at its size on disk and at its header.

    Args:
        path: of a file that may hold anything.

    Returns:
        `(height, width)`, bytes or floats in [0, 1].

    Raises:
        UploadError: if the file is no PNG, JPEG or DICOM file, too large in bytes or pixels, too small, or
            damaged, or the package that reads it is not installed.
    """
    check_size(path)
    suffix = suffix_by_content(path)
    if suffix not in KINDS:
        raise UploadError("The file is no PNG, JPEG or DICOM file, whatever its name says.")
    _check_pixels(path)
    with named_by_content(path, suffix) as image:
        try:
            return load_image(image)
        except (ValueError, MissingPackageError) as error:
            raise UploadError(in_words(error, image, "the file")) from None


def _check_pixels(path: str) -> None:
    """Refuses what a header calls too large or too small; a file may be a picture and DICOM at once."""
    for width, height in filter(None, (_picture_size(path), _dicom_size(path))):
        given = f"The image has {width} x {height} pixels"
        if width * height > MOST_PIXELS:
            raise UploadError(f"{given}; at most {MOST_PIXELS // 10**6} million can be read.")
        if min(width, height) < SHORTEST_SIDE:
            raise UploadError(f"{given}; both sides must have at least {SHORTEST_SIDE}.")


def _picture_size(path: str) -> tuple[int, int] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is lower
            with Image.open(path, formats=FORMATS) as picture:
                return picture.size
    except Exception:  # damaged data raise anything; the reader tells
        return None


def _dicom_size(path: str) -> tuple[int, int] | None:
    try:
        import pydicom

        header = pydicom.dcmread(path, stop_before_pixels=True)
        return int(header.Columns), int(header.Rows)
    except Exception:  # as above; without pydicom nothing is read as DICOM
        return None
