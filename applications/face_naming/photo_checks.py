"""Checks of what a user gives: each returns the checked value in its canonical type, or raises."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from applications.face_naming.captions import NONAME

_CROP_TOLERANCE = 1e-3  # resizing filters overshoot [0, 1] a little


def checked_faces(faces: Any, key: str) -> np.ndarray:
    """Faces as float32 `(faces, width)` features or `(faces, height, width, channels)` crops in [0, 1]."""
    try:
        faces = np.asarray(faces)
    except ValueError:
        raise ValueError(
            f"faces{of(key)} differ in shape; give all one width, or resize all crops to one size."
        ) from None
    if faces.ndim and len(faces) == 0:
        return faces.astype("float32")
    if faces.ndim not in (2, 4) or 0 in faces.shape:
        raise ValueError(
            f"faces{of(key)} must be (faces, width) features or (faces, height, width, channels) crops, "
            f"got shape {faces.shape}."
        )
    if not np.issubdtype(faces.dtype, np.floating):
        cure = "divide crops by 255" if faces.ndim == 4 else "convert features with .astype('float32')"
        raise ValueError(f"faces{of(key)} must be floating point, got {faces.dtype}; {cure}.")
    with np.errstate(over="ignore"):
        faces = faces.astype("float32", copy=False)
    finite = np.isfinite(faces).reshape(len(faces), -1).all(axis=1)
    if not finite.all():
        raise ValueError(f"faces[{np.argmin(finite)}]{of(key)} holds NaN or infinity; leave such a face out.")
    if faces.ndim == 4 and (faces.min() < -_CROP_TOLERANCE or faces.max() > 1 + _CROP_TOLERANCE):
        raise ValueError(
            f"faces{of(key)} must be crops in [0, 1], got {faces.min():.4g} to {faces.max():.4g}; "
            "divide pixels by 255 and do not standardise them."
        )
    return faces


def checked_names(names: Any, key: str) -> tuple[str, ...]:
    """Distinct non-empty strings other than `NONAME`."""
    names = _strings("names", names, key)
    if any(not name.strip() for name in names):
        raise ValueError(f"names{of(key)} must not hold an empty string, got {names!r}.")
    if NONAME in names:
        raise ValueError(f"names{of(key)} must not hold {NONAME!r}, which is always added; got {names!r}.")
    if len(set(names)) < len(names):
        raise ValueError(f"names{of(key)} must be distinct, got {names!r}; give a repeated name once.")
    return names


def checked_truth(truth: Any, names: tuple[str, ...], faces: int, key: str) -> tuple[str, ...]:
    """One of `names` or `NONAME` for each face."""
    truth = _strings("truth", truth, key)
    if len(truth) != faces:
        raise ValueError(f"truth{of(key)} must have one name a face, got {len(truth)} for {faces} faces.")
    unknown = [name for name in truth if name not in names and name != NONAME]
    if unknown:
        raise ValueError(
            f"truth{of(key)} must come from names {names!r} or be {NONAME!r}, got {unknown[0]!r}."
        )
    return truth


def checked_image(image: Any, key: str) -> np.ndarray:
    """`(height, width)` or `(height, width, 3)` uint8."""
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(f"image{of(key)} must be uint8 (0 to 255), got {image.dtype}; convert it.")
    if 0 in image.shape or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"image{of(key)} must be (height, width) or (height, width, 3), got {image.shape}.")
    return image


def checked_boxes(boxes: Any, faces: int, key: str) -> np.ndarray:
    """`(faces, 4)` float32: left < right, top < bottom."""
    boxes = np.asarray(boxes, "float32")
    if faces == 0 and boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.shape != (faces, 4):
        raise ValueError(f"boxes{of(key)} must be (faces, 4) = ({faces}, 4), got shape {boxes.shape}.")
    if not (np.isfinite(boxes).all() and (boxes[:, :2] < boxes[:, 2:]).all()):
        raise ValueError(f"boxes{of(key)} must be finite, left < right, top < bottom; got {boxes.tolist()}.")
    return boxes


def common_face_shape(photos: Sequence) -> tuple[int, ...]:
    """The shape of one face, the same in all photos that have faces."""
    first = None
    for index, photo in enumerate(photos):
        if len(photo.faces) == 0:
            continue
        first = index if first is None else first
        expected = photos[first].faces.shape[1:]
        if photo.faces.shape[1:] != expected:
            raise ValueError(
                f"faces must have one shape in all photos, got {expected} in {_place(photos, first)} "
                f"but {photo.faces.shape[1:]} in {_place(photos, index)}."
            )
    if first is not None:
        return photos[first].faces.shape[1:]
    shapes = {photo.faces.shape[1:] for photo in photos}
    shapes = {shape for shape in shapes if len(shape) in (1, 3) and 0 not in shape}
    if len(shapes) != 1:
        raise ValueError("photos hold no face that would tell the width of faces; use np.zeros((0, width)).")
    return shapes.pop()


def stacked_features(names: Sequence[str], features: Any) -> np.ndarray:
    """The features of `names`, `(names, width)` float32."""
    if not isinstance(features, Mapping):
        raise TypeError(f"name_features must map each name to its vector, got {type(features).__name__}.")
    missing = [name for name in names if name not in features]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(
            f"name_features must hold every name and {NONAME!r}; missing: {missing[-1]!r}{more}."
        )
    rows = []
    for name in names:
        row = np.asarray(features[name])
        if row.ndim != 1 or not row.size or row.dtype.kind not in "fiu":
            given = f"{row.dtype} of shape {row.shape}"
            raise ValueError(f"name_features[{name!r}] must be a (width,) vector of numbers, got {given}.")
        with np.errstate(over="ignore"):
            rows.append(row.astype("float32"))
        if len(row) != len(rows[0]):
            raise ValueError(
                f"name_features must have one width, got {len(rows[0])} for {names[0]!r} "
                f"but {len(row)} for {name!r}."
            )
        if not np.isfinite(rows[-1]).all():
            raise ValueError(f"name_features[{name!r}] holds NaN or infinity.")
    return np.stack(rows)


def checked_integer(argument: str, value: Any, least: int) -> int:
    """An integer of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be an integer, got {type(value).__name__}: {value!r}.") from None
    if number < least:
        raise ValueError(f"{argument} must be at least {least}, got {number}.")
    return number


def of(key: str) -> str:
    """How a message refers to the photo."""
    return f" of photo {key!r}" if isinstance(key, str) and key else ""


def _place(photos: Sequence, index: int) -> str:
    return f"photos[{index}]{of(photos[index].key)}"


def _strings(argument: str, values: Any, key: str) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        given = f"{type(values).__name__}: {values!r}"
        raise TypeError(f"{argument}{of(key)} must be a tuple of strings, got {given}.")
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{argument}{of(key)} must hold strings, got {type(value).__name__}: {value!r}.")
    return tuple(values)
