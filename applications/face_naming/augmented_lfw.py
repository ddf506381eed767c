"""The augmented "Labeled Faces in the Wild": news photos with names from captions and who is who.

The photos are Berg et al.'s; Pham, Moens and Tuytelaars annotated them. A dictionary file is a JSON object
with one object per photo, whose lists have one entry a slot. A slot is a face with its name, a name without a
face, or a face without a name:

img_name                    [path of the picture]
face_x, face_y, face_size   centre and half side of the square box in pixels, -1 where the slot has no face
name_list                   [[name as the caption writes it], ...], or "NONAME", "NONAMEWRONG"
ner                         the identity; "NOFACE" + identity for a name without a face, "NOFACEWRONG" for
                            what is no person, "NONAME" for a face without a name, "NONAMEWRONG" for a face
                            that is annotated wrongly
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from applications.face_naming.evaluation import (
    WRONG_KINDS,
    NameId,
    SlotKind,
    count_slots,
    precision_recall_f1,
)
from applications.face_naming.formats import CaptionedPhoto, NamedPhoto

__all__ = ["load_augmented_lfw", "official_score", "read_augmented_lfw"]

_FIELDS = ("img_name", "face_x", "face_y", "face_size", "name_list", "ner")
_SUBSETS = ("full", "one", "rest")


def load_augmented_lfw(
    path: str | Path,
    images: str | Path | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    subset: Literal["full", "one", "rest"] = "full",
    size: int = 64,
    seed: int = 0,
) -> list[CaptionedPhoto]:
    """Reads a dictionary file, and the faces that belong to it.

    `face_bank(photos)` collects the faces of the names that occur in the subset `"one"`.

    Args:
        path: the JSON file.
        images: folder of the pictures, from which faces are cut.
        vectors: instead of pictures `(faces, width)` vectors for each photo's key, such as an opened `.npz`
            file, or `synthetic_vectors(read_augmented_lfw(path))`.
        subset: `"one"`: photos of one face and one name; `"rest"`: all others; `"full"`: both.
        size: side of the crops in pixels; the paper's face encoder wants 160.
        seed: of the order of names, which in the file tells who is who.

    Returns:
        The photos with truth. Faces whose annotation is wrong have the truth `NONAME`; `official_score`
        leaves them out. Photos without a readable picture or vectors are left out and listed in a warning.

    Raises:
        TypeError: if neither or both of `images` and `vectors` are given.
        ValueError: if the file is not of that format, `subset` unknown or empty, or no photo has faces.
    """
    if subset not in _SUBSETS:
        raise ValueError(f"subset must be one of {', '.join(_SUBSETS)}, got {subset!r}.")
    annotated = read_augmented_lfw(path, seed)
    if subset != "full":
        annotated = {key: photo for key, photo in annotated.items() if _is_one(photo) == (subset == "one")}
    if not annotated:
        raise ValueError(f"{path} holds no photo of the subset {subset!r}.")
    return with_faces(annotated, images, vectors, size)


def read_augmented_lfw(path: str | Path, seed: int = 0) -> dict[str, AnnotatedPhoto]:
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


def official_score(
    annotated: Mapping[str, AnnotatedPhoto], photos: Sequence[CaptionedPhoto], named: Sequence[NamedPhoto]
) -> dict[str, float]:
    """The paper's scores, which know names without a face and errors of the annotation.

    Every slot is a prediction: of a name, of `NONAME`, or, given for free, that a name has no face. Slots
    whose annotation is wrong are no truth and never right.

    Args:
        annotated: what `read_augmented_lfw` returned.
        photos: photos of `load_augmented_lfw`; their keys say which of `annotated` they are.
        named: what a model said, one for each photo, in the same order.

    Returns:
        `face_accuracy` over the faces that are not annotated wrongly, the official `precision`, `recall` and
        `f1`, and `faces`, the number of these faces. What has nothing to count is NaN.

    Raises:
        ValueError: if a photo is not among `annotated`, or answers do not fit the photos.
    """
    if len(named) != len(photos):
        raise ValueError(f"named must have one entry a photo, got {len(named)} for {len(photos)} photos.")
    counts, right, faces = [], 0, 0
    for photo, answer in zip(photos, named, strict=True):
        if photo.key not in annotated:
            raise ValueError(f"annotated must hold every photo, got none with the key {photo.key!r}.")
        slots = annotated[photo.key]
        if len(answer.names) != len(slots.boxes):
            raise ValueError(
                f"named must give {len(slots.boxes)} names for photo {photo.key!r}, got {len(answer.names)}."
            )
        kinds, names = np.array(slots.slot_kinds), _ids(slots.slot_names, slots)
        slot_faces = np.array(slots.slot_faces)
        shown = [answer.names[face] if face >= 0 else NONAME for face in slots.slot_faces]
        predicted = np.where(slot_faces < 0, NameId.NOFACE, _ids(shown, slots))
        counts.append(count_slots(kinds[None], names[None], predicted[None])[0])
        judged = (slot_faces >= 0) & ~np.isin(kinds, WRONG_KINDS)
        faces += int(judged.sum())
        right += int((judged & (kinds != SlotKind.NOFACE) & (predicted == names)).sum())
    precision, recall, f1 = precision_recall_f1(np.array(counts).reshape(-1, 3))
    accuracy = right / faces if faces else float("nan")
    return {"face_accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1, "faces": faces}


def _ids(names: Sequence[str], slots: AnnotatedPhoto) -> np.ndarray:
    """Names as the ids that `count_slots` compares."""
    ids = {name: number for number, name in enumerate(slots.names, start=1)}
    ids |= {NONAME: NameId.NONAME, "NONAMEWRONG": NameId.NONAMEWRONG}
    unknown = sorted(set(names) - set(ids))
    if unknown:
        raise ValueError(
            f"named must use the names of photo {slots.key!r} or {NONAME!r}, got {unknown[0]!r}."
        )
    return np.array([ids[name] for name in names])


def _is_one(photo: AnnotatedPhoto) -> bool:
    return len(photo.boxes) == 1 and len(photo.names) == 1


def _photo(number: int, key: str, entry: Mapping[str, Any], seed: int) -> AnnotatedPhoto:
    """The photo of one entry."""
    image, x, y, half, names, identities = lists_of(key, entry, *_FIELDS)
    check_lengths(key, face_x=x, face_y=y, face_size=half, name_list=names, ner=identities)
    if not names:
        raise ValueError(f"Photo {key!r} must have at least one slot, got empty lists.")
    x, y, half = (
        numbers(key, field, values) for field, values in zip(_FIELDS[1:4], (x, y, half), strict=True)
    )
    absent = half == -1
    if ((half <= 0) & ~absent).any():
        raise ValueError(
            f"face_size of photo {key!r} must be positive, or -1 for no face, "
            f"got {half[(half <= 0) & ~absent][0]:g}."
        )
    names = [_name(one_string(key, "name_list", name)) for name in names]
    identities = [one_string(key, "ner", identity) for identity in identities]
    kinds = [_kind(identity) for identity in identities]
    shown = np.flatnonzero(~absent)
    faces = np.where(absent, -1, np.cumsum(~absent) - 1)
    return AnnotatedPhoto(
        key=key,
        image=image_path(key, "img_name", image),
        boxes=np.stack([x - half, y - half, x + half, y + half], axis=1)[shown].astype("float32"),
        names=shuffled_names(names, seed, number),
        # only a slot that links a face with a name says that the face is that person
        truth=tuple(
            names[slot] if kinds[slot] == SlotKind.FACE and not is_noname(names[slot]) else NONAME
            for slot in shown
        ),
        people=tuple(identities[slot] if kinds[slot] == SlotKind.FACE else None for slot in shown),
        slot_kinds=tuple(int(kind) for kind in kinds),
        slot_names=tuple(names),
        slot_faces=tuple(faces.tolist()),
    )


def _kind(identity: str) -> SlotKind:
    """What a slot is, by its entry in `ner`."""
    for kind in (SlotKind.NOFACEWRONG, SlotKind.NONAMEWRONG, SlotKind.NOFACE, SlotKind.NONAME):
        if identity.startswith(kind.name):
            return kind
    return SlotKind.FACE


def _name(name: str) -> str:
    """The string of a slot, where everything that starts like `NONAME` is one of the two null names."""
    if name.startswith("NONAMEWRONG"):
        return "NONAMEWRONG"
    return NONAME if is_noname(name) else name
