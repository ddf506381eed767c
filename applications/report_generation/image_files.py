"""Radiographs on disk as arrays: DICOM, PNG, JPEG; grey, bright bones on dark air."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from applications.environment import check_packages
from applications.pictures import decode, opened

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["SUFFIXES", "fit_size", "load_image"]

DICOM_SUFFIXES = (".dcm", ".dicom")
SUFFIXES = (".jpg", ".jpeg", ".png", *DICOM_SUFFIXES)
_MOST_PIXELS = 178_956_970  # where Pillow refuses a picture, too


def load_image(path: str | Path, size: int | tuple[int, int] | None = None) -> np.ndarray:
    """Reads one radiograph.

    DICOM goes through its own rescaling and its window or look-up table; without these it is stretched from
    its darkest to its brightest pixel, as pictures of 16 bits are. MONOCHROME1 is inverted. Colours become
    grey. A picture of 8 bits keeps its values.

    Args:
        path: of a DICOM file, which ends on `.dcm` or starts as one, or of a picture.
        size: height and width, or one number for both. The image is resized until it fills them, and what
            is too long in one direction is cut off equally at both ends, as image encoders of radiographs
            expect it. `None`: as it is.

    Returns:
        `(height, width)`: uint8 of pictures of 8 bits, otherwise float32 in [0, 1].

    Raises:
        MissingPackageError: if Pillow, or for DICOM pydicom, is not installed.
        ValueError: if the file is missing, no image, damaged or too large to be safe, or a DICOM file has no
            pixels, several frames, NaN, or a compression for which no decoder is installed.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> from applications.report_generation.image_files import load_image
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "frontal.png"
    >>> Image.new("L", (60, 80), 128).save(path)
    >>> load_image(path).shape, load_image(path, 32).shape
    ((80, 60), (32, 32))
    """
    path = Path(path)
    image = _read_dicom(path) if _is_dicom(path) else _read_picture(path)
    return image if size is None else fit_size(image, size)


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:  # told by whoever reads it
        return False


def _read_picture(path: Path) -> np.ndarray:
    from PIL import Image, ImageOps

    with opened(path) as picture:
        if not picture.mode.startswith("I"):
            return np.asarray(Image.fromarray(decode(picture)).convert("L"))
        return _stretched(np.asarray(ImageOps.exif_transpose(picture), "float32"))


def _read_dicom(path: Path) -> np.ndarray:
    check_packages("pydicom", "PIL")
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except InvalidDicomError:
        raise ValueError(f"{path} is no DICOM file.") from None
    except Exception as error:  # damaged files raise anything
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ValueError(f"{path} is a DICOM file without pixel data.")
    try:
        frames, pixels = int(dataset.get("NumberOfFrames") or 1), dataset.Rows * dataset.Columns
        if frames != 1:
            raise ValueError(f"it holds {frames} frames instead of one radiograph.")
        if pixels > _MOST_PIXELS:
            raise ValueError(f"it has too many pixels: {pixels:,}.")
        return _shown(dataset)
    except Exception as error:  # as above; decoders that are not there raise RuntimeError
        raise ValueError(f"{path} cannot be decoded: {error}") from error


def _shown(dataset: Dataset) -> np.ndarray:
    """The pixels of a DICOM file in [0, 1], as a viewer shows them."""
    from PIL import Image
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

    stored = dataset.pixel_array
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        stored = (stored.astype("float32") / np.iinfo(stored.dtype).max * 255).astype("uint8")
        return np.asarray(Image.fromarray(stored).convert("L"), "float32") / 255
    with np.errstate(over="ignore"):  # far ends of a sigmoid window
        values = apply_modality_lut(stored, dataset)
        padding = dataset.get("PixelPaddingValue")
        inside = np.ones(stored.shape, bool) if padding is None else stored != padding
        ends = None
        if "VOILUTSequence" in dataset or "WindowWidth" in dataset:
            far = np.array([-(2**31), 2**31 - 1], "float64")
            values, ends = apply_voi_lut(values, dataset), apply_voi_lut(far, dataset)
    shown = _stretched(np.asarray(values, "float64"), inside, ends)
    return np.where(inside, 1 - shown if kind == "MONOCHROME1" else shown, 0).astype("float32")


def _stretched(
    values: np.ndarray, inside: np.ndarray | None = None, ends: np.ndarray | None = None
) -> np.ndarray:
    """`values` from their lowest to their highest, or between `ends`, as float32 from 0 to 1."""
    if not np.isfinite(values).all():
        raise ValueError("its pixels must be finite numbers, got NaN or infinity.")
    measured = values if inside is None or not inside.any() else values[inside]
    low, high = (measured.min(), measured.max()) if ends is None else (ends.min(), ends.max())
    if high == low:
        return np.zeros(values.shape, "float32")
    return ((values - low) / (high - low)).clip(0, 1).astype("float32")


def fit_size(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """An image so resized that it fills this size, centred; what sticks out is cut off.

    Args:
        image: `(height, width)`, uint8 or float32 in [0, 1].
        size: height and width, or one number for both.

    Raises:
        MissingPackageError: if Pillow is not installed.
        ValueError: if `size` is not positive.
    """
    check_packages("PIL")
    from PIL import Image, ImageOps

    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size must be positive, got {size}.")
    image = np.asarray(image)
    if image.dtype != np.uint8:
        image = image.astype("float32", copy=False)
    fitted = np.asarray(ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.BICUBIC))
    return fitted if image.dtype == np.uint8 else fitted.clip(0, 1)  # bicubic weights overshoot
