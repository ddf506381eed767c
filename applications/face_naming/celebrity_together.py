"""Celebrity Together: web photos of several celebrities, with the names of those who are shown.

A dictionary file is a JSON object with one object per photo:

img_dir     path of the picture
bbox        [[left, top, right, bottom], ...] in pixels, one for each face
name_list   the names, plain strings; "NONAME" for faces of people without a name
gt_link     [[true name, ...], ...], one for each face
name_id     optional, one for each entry of name_list
face_id     optional, one for each face
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from applications.face_naming.annotated import (
    AnnotatedPhoto,
    check_lengths,
    image_path,
    is_noname,
    lists_of,
    numbers,
    one_string,
    read_entries,
    shuffled_names,
    with_faces,
)
from applications.face_naming.captions import NONAME
from applications.face_naming.formats import CaptionedPhoto

__all__ = ["load_celebrity_together", "read_celebrity_together"]

_SUBSETS = ("full", "2name", "2name allname", "2name easy")


def load_celebrity_together(
    path: str | Path,
    images: str | Path | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    subset: Literal["full", "2name", "2name allname", "2name easy"] = "full",
    size: int = 64,
    seed: int = 0,
) -> list[CaptionedPhoto]:
    """Reads a dictionary file, and the faces that belong to it.

    Args:
        path: the JSON file.
        images: folder of the pictures, from which faces are cut.
        vectors: instead of pictures `(faces, width)` vectors for each photo's key, such as an opened `.npz`.
        subset: photos by their list of names, in which `NONAME` counts as one: `"2name"`: fewer than three;
            `"2name allname"`: those of them without `NONAME`, on which the paper's first stage trains;
            `"2name easy"`: one name and `NONAME`; `"full"`: all.
        size: side of the crops in pixels; the paper's face encoder wants 160.
        seed: of the order of names.

    Returns:
        The photos with truth. Photos without a readable picture or vectors are left out and listed in a
        warning.

    Raises:
        TypeError: if neither or both of `images` and `vectors` are given.
        ValueError: if the file is not of that format, `subset` unknown or empty, or no photo has faces.
    """
    if subset not in _SUBSETS:
        raise ValueError(f"subset must be one of {', '.join(_SUBSETS)}, got {subset!r}.")
    annotated = read_celebrity_together(path, seed)
    kept = {key: photo for key, photo in annotated.items() if _belongs(photo, subset)}
    if not kept:
        raise ValueError(f"{path} holds no photo of the subset {subset!r}.")
    return with_faces(kept, images, vectors, size)


def read_celebrity_together(path: str | Path, seed: int = 0) -> dict[str, AnnotatedPhoto]:
    """Reads a dictionary file alone, without faces.

    Args:
        path: the JSON file.
        seed: of the order of names.

    Returns:
        Each photo by its key.

    Raises:
        ValueError: if the file is not of that format; the message names photo and field.
    """
    entries = read_entries(path)
    return {key: _photo(number, key, entries[key], seed) for number, key in enumerate(entries)}


def _belongs(photo: AnnotatedPhoto, subset: str) -> bool:
    has_noname = any(map(is_noname, photo.slot_names))
    if subset == "2name easy":
        return len(photo.names) == 1 and has_noname
    few = len(photo.names) + has_noname < 3
    return subset == "full" or (few and not (subset == "2name allname" and has_noname))


def _photo(number: int, key: str, entry: Mapping[str, Any], seed: int) -> AnnotatedPhoto:
    """The photo of one entry."""
    boxes, listed_names, links = lists_of(key, entry, "bbox", "name_list", "gt_link")
    if "img_dir" not in entry:
        raise ValueError(f"Photo {key!r} must have img_dir, the path of the picture; it is missing.")
    check_lengths(key, bbox=boxes, gt_link=links)
    for field, others, values in (("face_id", "bbox", boxes), ("name_id", "name_list", listed_names)):
        if field in entry:
            check_lengths(key, **{others: values, field: lists_of(key, entry, field)[0]})
    names = [one_string(key, "name_list", name) for name in listed_names]
    people = [_true_name(key, link) for link in links]
    unknown = sorted({person for person in people if person is not None} - set(names))
    if unknown:
        raise ValueError(f"gt_link of photo {key!r} must start with a name of name_list, got {unknown[0]!r}.")
    return AnnotatedPhoto(
        key=key,
        image=image_path(key, "img_dir", entry["img_dir"]),
        boxes=np.array([_box(key, box) for box in boxes], "float32").reshape(-1, 4),
        names=shuffled_names(names, seed, number),
        truth=tuple(NONAME if person is None else person for person in people),
        people=tuple(people),
        slot_names=tuple(names),
    )


def _true_name(key: str, link: Any) -> str | None:
    """The first entry of a face's link; `None` for a face without a name."""
    name = link[0] if isinstance(link, list) and link else None
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"gt_link of photo {key!r} must hold lists that start with a name, got {link!r}.")
    return None if is_noname(name) else name


def _box(key: str, box: Any) -> np.ndarray:
    corners = numbers(key, "bbox", box) if isinstance(box, list) else np.zeros(0)
    if len(corners) != 4 or corners[0] >= corners[2] or corners[1] >= corners[3]:
        raise ValueError(
            f"bbox of photo {key!r} must hold [left, top, right, bottom] with left < right and top < bottom, "
            f"got {box!r}."
        )
    return corners
