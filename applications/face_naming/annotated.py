"""Photos that were annotated elsewhere: what their dictionary files say, and the faces that go with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from applications.environment import check_packages
from applications.face_naming.captions import NONAME
from applications.face_naming.formats import CaptionedPhoto
from applications.face_naming.photo_checks import checked_integer
from applications.face_naming.population import STRANGER, draw_centres, draw_faces
from applications.pictures import listed, read_image, relative_name

__all__ = ["AnnotatedPhoto", "crop_faces", "synthetic_vectors"]

logger = logging.getLogger("contrast")


@dataclass(frozen=True, eq=False)
class AnnotatedPhoto:
    """What a dictionary file says about one photo.

    Args:
        key: the photo's key in the file.
        image: path of the picture, relative to the folder of pictures.
        boxes: `(faces, 4)` float32: left, top, right, bottom in pixels.
        names: the distinct candidates in shuffled order, without `NONAME`.
        truth: per face one of `names` or `NONAME`.
        people: per face the identity of the person, or `None` for somebody who is not named.
        slot_kinds: `(slots,)` `SlotKind`, for the official scores; empty where the format has no slots.
        slot_names: the name of each slot as the file writes it.
        slot_faces: `(slots,)` the number of the slot's face in `boxes`, -1 for none.
    """

    key: str
    image: str
    boxes: np.ndarray
    names: tuple[str, ...]
    truth: tuple[str, ...]
    people: tuple[str | None, ...]
    slot_kinds: tuple[int, ...] = ()
    slot_names: tuple[str, ...] = ()
    slot_faces: tuple[int, ...] = ()


def with_faces(
    annotated: Mapping[str, AnnotatedPhoto],
    images: str | Path | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    size: int = 64,
) -> list[CaptionedPhoto]:
    """Photos with faces: crops of picture files, or vectors that were computed before.

    Args:
        annotated: the photos by their keys.
        images: the folder of pictures.
        vectors: for each key `(faces, width)`, in the order of the boxes.
        size: side of the crops in pixels.

    Returns:
        One photo for each key that has faces. What is missing or damaged is left out and listed in a warning.

    Raises:
        TypeError: if neither or both of `images` and `vectors` are given.
        ValueError: if every photo would be left out, or vectors do not fit the boxes.
    """
    if (images is None) == (vectors is None):
        raise TypeError("Give either images, a folder of pictures, or vectors, a mapping of key to array.")
    size = checked_integer("size", size, 1)
    if images is not None and not Path(images).is_dir():
        raise ValueError(f"images must be an existing folder, got {images}.")
    photos, missing = [], []
    for key, photo in tqdm(annotated.items(), "photos", disable=None if images is not None else True):
        if images is not None:
            try:
                faces = crop_faces(read_image(Path(images) / photo.image), photo.boxes, size)
            except ValueError as error:
                missing.append(f"{key} ({error})")
                continue
        elif key in vectors:
            faces = _checked_vectors(vectors[key], photo)
        else:
            missing.append(key)
            continue
        photos.append(CaptionedPhoto(faces, photo.names, boxes=photo.boxes, truth=photo.truth, key=photo.key))
    source = f"picture below {images}" if images is not None else "array in vectors"
    if not photos:
        raise ValueError(f"None of the {len(annotated)} photos has a readable {source}: {listed(missing)}.")
    if missing:
        logger.warning(
            "%d of %d photos are left out for want of a readable %s: %s",
            len(missing),
            len(annotated),
            source,
            listed(missing),
        )
    return photos


def crop_faces(image: np.ndarray, boxes: np.ndarray, size: int = 64) -> np.ndarray:
    """Cuts faces out of a picture; what lies outside of it is black.

    Args:
        image: `(height, width, 3)` uint8.
        boxes: `(faces, 4)` left, top, right, bottom in pixels.
        size: side of the crops, to which boxes are resized bilinearly.

    Returns:
        `(faces, size, size, 3)` float32 in [0, 1].

    Example:

    >>> crop_faces(np.full((4, 6, 3), 255, "uint8"), np.array([[1, 1, 3, 3]]), size=2)[0, :, :, 0]
    array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    check_packages("PIL")
    from PIL import Image

    crops = np.zeros((len(boxes), size, size, 3), "float32")
    height, width = image.shape[:2]
    for number, box in enumerate(np.round(boxes).astype(int).tolist()):
        left, top, right, bottom = box
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            continue
        # a box far larger than the picture would ask for as much memory
        reach = 2 * max(height, width)
        box = (max(left, -reach), max(top, -reach), min(right, width + reach), min(bottom, height + reach))
        crop = Image.fromarray(image).crop(box).resize((size, size), Image.Resampling.BILINEAR)
        crops[number] = np.asarray(crop, "float32") / 255
    return crops


def synthetic_vectors(
    annotated: Mapping[str, AnnotatedPhoto], width: int = 32, seed: int = 0
) -> dict[str, np.ndarray]:
    """Drawn face vectors for photos whose pictures are not at hand: real names, invented faces.

    Each identity has a centre of norm sqrt(width), a face is its centre plus N(0, I), and a face without an
    identity is N(0, 2 I), as in `IdentityWorld`.

    Args:
        annotated: the photos by their keys.
        width: of a vector.
        seed: non-negative integer.

    Returns:
        `(faces, width)` float32 for each key.
    """
    width = checked_integer("width", width, 1)
    generator = np.random.default_rng(checked_integer("seed", seed, 0))
    people = sorted({person for photo in annotated.values() for person in photo.people if person is not None})
    centres = draw_centres(generator, len(people), width)
    row = {None: STRANGER} | {person: number for number, person in enumerate(people)}
    return {
        key: draw_faces(generator, centres, [row[person] for person in photo.people])
        for key, photo in annotated.items()
    }


def read_entries(path: str | Path) -> dict[str, dict[str, Any]]:
    """The entries of a dictionary file, a JSON object of one object per photo.

    Raises:
        ValueError: if the file is missing or no such JSON, or a key stands in it twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        entries = json.loads(text, object_pairs_hook=lambda pairs: _distinct(pairs, path))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except (UnicodeDecodeError, json.JSONDecodeError, OSError, RecursionError) as error:
        raise ValueError(f"{path} is no readable JSON file: {error}") from error
    if not isinstance(entries, dict) or not entries:
        raise ValueError(f"{path} must hold an object with at least one photo.")
    for key, entry in entries.items():
        if not isinstance(entry, dict):
            raise ValueError(f"Photo {key!r} must be an object, got {type(entry).__name__}.")
    return entries


def lists_of(key: str, entry: Mapping[str, Any], *fields: str) -> list[list]:
    """Some fields of an entry, which must be lists.

    Raises:
        ValueError: if a field is missing or no list.
    """
    missing = [field for field in fields if field not in entry]
    if missing:
        raise ValueError(f"Photo {key!r} must have {', '.join(fields)}; missing: {', '.join(missing)}.")
    for field in fields:
        if not isinstance(entry[field], list):
            raise ValueError(f"{field} of photo {key!r} must be a list, got {type(entry[field]).__name__}.")
    return [entry[field] for field in fields]


def check_lengths(key: str, **lists: Sequence) -> None:
    """Raises ValueError if lists of one photo differ in length."""
    lengths = {field: len(values) for field, values in lists.items()}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{field} {length}" for field, length in lengths.items())
        raise ValueError(f"The lists of photo {key!r} must be equally long, got {given}.")


def numbers(key: str, field: str, values: Sequence) -> np.ndarray:
    """A list of finite numbers as float64."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"{field} of photo {key!r} must hold finite numbers, got {value!r}.")
    return np.array(values, "float64")


def one_string(key: str, field: str, value: Any) -> str:
    """A string, or the string in a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(
            f"{field} of photo {key!r} must hold a string or lists of one string each, got {value!r}."
        )
    return value


def image_path(key: str, field: str, value: Any) -> str:
    """The path of a picture, which must not leave the folder of pictures."""
    try:
        return relative_name(one_string(key, field, value))
    except ValueError as error:
        raise ValueError(f"{field} of photo {key!r}: {error}") from None


def is_noname(name: str) -> bool:
    """Whether a string of a dictionary file stands for no name."""
    return name.startswith(NONAME)


def shuffled_names(names: Sequence[str], seed: int, number: int) -> tuple[str, ...]:
    """The distinct real names, in an order that tells nothing about the faces."""
    distinct = sorted({name for name in names if not is_noname(name)})
    order = np.random.default_rng((checked_integer("seed", seed, 0), number)).permutation(len(distinct))
    return tuple(distinct[position] for position in order)


def _distinct(pairs: list[tuple[str, Any]], path: str | Path) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"{path} must hold each key once, got {listed(repeated)} more than once.")
    return content


def _checked_vectors(given: Any, photo: AnnotatedPhoto) -> np.ndarray:
    vectors = np.asarray(given)
    if vectors.ndim != 2 or len(vectors) != len(photo.boxes):
        raise ValueError(
            f"vectors[{photo.key!r}] must be (faces, width) with {len(photo.boxes)} faces, "
            f"got shape {vectors.shape}."
        )
    return vectors
