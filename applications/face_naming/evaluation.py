"""How well faces were named: plain face accuracy beside the official precision, recall and F1.

The official scores count the slots of a photo: its faces, and its names without a face. They give the latter
for free, so that they look high; always read the face accuracy beside them, and `bounds` beside both.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from applications.face_naming.formats import NONAME, CaptionedPhoto, NamedPhoto
from applications.face_naming.photo_checks import of

__all__ = [
    "WRONG_KINDS",
    "NameId",
    "SlotKind",
    "bounds",
    "count_slots",
    "precision_recall_f1",
    "predict_slots",
    "score",
]


class SlotKind(IntEnum):
    """What a slot of a photo is; the two WRONG kinds are errors of the annotation itself."""

    PADDING = -1
    FACE = 0  # a face and its name
    NOFACE = 1  # a name without a face
    NOFACEWRONG = 2  # a "name" that is not a person
    NONAME = 3  # a face without a name
    NONAMEWRONG = 4  # a face whose annotation is wrong


class NameId(IntEnum):
    """The ids of names that are no names; real names have ids from 1."""

    PADDING = -9
    NONAMEWRONG = -2
    NOFACE = -1
    NONAME = 0


_FACE_KINDS = (SlotKind.FACE, SlotKind.NONAME, SlotKind.NONAMEWRONG)
WRONG_KINDS = (SlotKind.NOFACEWRONG, SlotKind.NONAMEWRONG)
_NULL_NAMES = (NameId.NONAME, NameId.NONAMEWRONG)


def predict_slots(slot_kind: np.ndarray, slot_name: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """What the official scoring says of each slot, given the similarities of faces and names.

    Args:
        slot_kind: `(photos, slots)` `SlotKind`; a photo's slots come first, then padding.
        slot_name: `(photos, slots)` id of the slot's name: from 1, or a `NameId`.
        similarities: `(photos, faces, columns)`; faces in the order of their slots, columns the slots of the
            photo in order, and after them `NONAME` where no slot is called `NONAME` or `NONAMEWRONG`. Further
            faces and columns are not read.

    Returns:
        `(photos, slots)` ids: for a face the name of the best column, `NOFACE` for a name without a face.

    Raises:
        ValueError: if the shapes do not fit, or a photo has more faces or columns than similarities.
    """
    slot_kind, slot_name, similarities = map(np.asarray, (slot_kind, slot_name, similarities))
    _check_slots(slot_kind, slot_name=slot_name)
    if similarities.ndim != 3 or len(similarities) != len(slot_kind):
        raise ValueError(
            f"similarities must be (photos, faces, columns) with {len(slot_kind)} photos, "
            f"got shape {similarities.shape}."
        )
    predicted = np.full(slot_name.shape, NameId.PADDING, dtype=slot_name.dtype)
    for photo, kinds in enumerate(slot_kind):
        real = np.flatnonzero(kinds != SlotKind.PADDING)
        faces = np.flatnonzero(np.isin(kinds, _FACE_KINDS))
        candidates = slot_name[photo, real]
        if not np.isin(candidates, _NULL_NAMES).any():
            candidates = np.append(candidates, NameId.NONAME)
        table = similarities[photo, : len(faces), : len(candidates)]
        if table.shape != (len(faces), len(candidates)):
            raise ValueError(
                f"similarities[{photo}] must hold {len(faces)} faces and {len(candidates)} columns, "
                f"got {similarities.shape[1:]}."
            )
        predicted[photo, real] = NameId.NOFACE
        if len(faces):
            predicted[photo, faces] = candidates[table.argmax(axis=1)]
    return predicted


def count_slots(slot_kind: np.ndarray, slot_name: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The official counts of each photo.

    Args:
        slot_kind: `(photos, slots)` `SlotKind`.
        slot_name: `(photos, slots)` ids of the true names.
        predicted: `(photos, slots)` ids as `predict_slots` returns them.

    Returns:
        `(photos, 3)` numbers of slots that count as truth (all but the WRONG kinds), of predictions (all),
        and of slots predicted rightly (never of a WRONG kind).
    """
    slot_kind, slot_name, predicted = map(np.asarray, (slot_kind, slot_name, predicted))
    _check_slots(slot_kind, slot_name=slot_name, predicted=predicted)
    real = slot_kind != SlotKind.PADDING
    counted = real & ~np.isin(slot_kind, WRONG_KINDS)
    truth = np.where(slot_kind == SlotKind.NOFACE, NameId.NOFACE, slot_name)
    right = counted & (predicted == truth)
    return np.stack([counted.sum(axis=1), real.sum(axis=1), right.sum(axis=1)], axis=1)


def precision_recall_f1(counts: np.ndarray) -> tuple[float, float, float]:
    """Precision, recall and F1 over all photos; NaN where nothing was counted.

    Args:
        counts: `(photos, 3)` truth, predicted and right slots, as `count_slots` returns them.
    """
    truth, predicted, right = np.asarray(counts).sum(axis=0)
    return _ratio(right, predicted), _ratio(right, truth), _ratio(2 * right, predicted + truth)


def score(photos: Sequence[CaptionedPhoto], named: Sequence[NamedPhoto]) -> dict[str, float]:
    """Compares the names that a model gave with the truth.

    Args:
        photos: photos with truth.
        named: what the model said, one for each photo, in the same order.

    Returns:
        `face_accuracy`, over all faces, where `NONAME` counts like a name; the official `precision`, `recall`
        and `f1`, equal to each other where the annotation has no errors, as here; `noname_accuracy`, over the
        faces whose truth is `NONAME`; `faces`, the number of all faces. What has nothing to count is NaN.

    Raises:
        ValueError: if a photo has no truth, or the two sequences do not belong together.
    """
    _check_truth(photos)
    if len(named) != len(photos):
        raise ValueError(f"named must have one entry a photo, got {len(named)} for {len(photos)} photos.")
    hits = []
    for index, (photo, answer) in enumerate(zip(photos, named, strict=True)):
        if len(answer.names) != len(photo.truth):
            raise ValueError(
                f"named[{index}] must name {len(photo.truth)} faces, got {len(answer.names)}{of(photo.key)}."
            )
        unknown = sorted(set(answer.names) - {*photo.names, NONAME})
        if unknown:
            raise ValueError(
                f"named[{index}] must name candidates {photo.names!r} or {NONAME!r}, "
                f"got {unknown[0]!r}{of(photo.key)}."
            )
        hits.append([float(given == right) for given, right in zip(answer.names, photo.truth, strict=True)])
    return _summary(photos, hits)


def bounds(photos: Sequence[CaptionedPhoto]) -> dict[str, dict[str, float]]:
    """The metrics of `score` for answers that need no model, in expectation and without sampling.

    Args:
        photos: photos with truth.

    Returns:
        `chance`: each candidate equally likely; `chance_names`: each real name equally likely (`NONAME` where
        the caption has none); `all_noname`; `all_wrong`: no face is right, what remains are the free points;
        `perfect`.

    Raises:
        ValueError: if a photo has no truth.
    """
    _check_truth(photos)

    def among_names(photo: CaptionedPhoto, right: str) -> float:
        if not photo.names:
            return 1.0
        return 0.0 if right == NONAME else 1 / len(photo.names)

    answers = {
        "chance": lambda photo, right: 1 / (len(photo.names) + 1),
        "chance_names": among_names,
        "all_noname": lambda photo, right: float(right == NONAME),
        "all_wrong": lambda photo, right: 0.0,
        "perfect": lambda photo, right: 1.0,
    }
    return {
        name: _summary(photos, [[hit(photo, right) for right in photo.truth] for photo in photos])
        for name, hit in answers.items()
    }


def _summary(photos: Sequence[CaptionedPhoto], hits: Sequence[Sequence[float]]) -> dict[str, float]:
    """Metrics from the probability that a face is right, per photo and face."""
    counts = []
    for photo, right in zip(photos, hits, strict=True):
        free = len(set(photo.names) - set(photo.truth))
        slots = len(photo.truth) + free
        counts.append((slots, slots, sum(right) + free))
    precision, recall, f1 = precision_recall_f1(np.array(counts, float))
    flat = np.array([hit for right in hits for hit in right])
    noname = np.array([name == NONAME for photo in photos for name in photo.truth], bool)
    return {
        "face_accuracy": _ratio(flat.sum(), len(flat)),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "noname_accuracy": _ratio(flat[noname].sum(), noname.sum()),
        "faces": len(flat),
    }


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _check_truth(photos: Sequence[CaptionedPhoto]) -> None:
    if len(photos) == 0:
        raise ValueError("photos must hold at least one photo, got none.")
    for index, photo in enumerate(photos):
        if photo.truth is None:
            raise ValueError(
                f"photos[{index}]{of(photo.key)} has no truth; give truth=(...) with the right name of each "
                f"face, or {NONAME!r}, to be able to evaluate."
            )


def _check_slots(slot_kind: np.ndarray, **others: np.ndarray) -> None:
    for argument, array in {"slot_kind": slot_kind, **others}.items():
        if array.ndim != 2 or array.shape != slot_kind.shape:
            raise ValueError(
                f"{argument} must be (photos, slots) = slot_kind's {slot_kind.shape}, got {array.shape}."
            )
