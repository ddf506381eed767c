"""SECLA-B's matching: which faces are taken as known, because a bank holds a face of their name."""

from typing import NamedTuple

from keras import ops


class Matching(NamedTuple):
    """What `match_known_names` finds.

    Attributes:
        matched_face: int `(photos, names)`: the face matched to each name, or -1.
        unmatched_faces: bool `(photos, faces)`: real faces that are left over.
        unmatched_names: bool `(photos, names)`: real names, `NONAME` included, that are left over.
    """

    matched_face: object
    unmatched_faces: object
    unmatched_names: object


def match_known_names(scores, face_mask, name_mask, known):
    """Matches each known name with the best of the faces that chose it.

    A face chooses its best name, if that score is above 0. A known name takes the best-scoring face among
    those that chose it; both leave the photo. A photo of one face and one name beside `NONAME` has nothing to
    match and stays as it is.

    Args:
        scores: float `(photos, faces, names)`, the current model's.
        face_mask: bool `(photos, faces)`, `True` for real faces.
        name_mask: bool `(photos, names)`, `True` for real names and `NONAME`.
        known: bool `(photos, names)`, `True` for names that the bank holds; never for `NONAME`.

    Returns:
        A `Matching`; no gradient flows through it.
    """
    scores = ops.stop_gradient(ops.cast(scores, "float32"))
    face_mask, name_mask = ops.cast(face_mask, "bool"), ops.cast(name_mask, "bool")
    lowest = -1e30
    scores = ops.where(name_mask[:, None, :], scores, lowest)
    is_best = ops.equal(ops.argmax(scores, axis=2)[..., None], ops.arange(ops.shape(scores)[2]))
    is_easy = ops.logical_and(_count(face_mask) == 1, _count(name_mask) == 2)
    open_names = ops.logical_and(ops.logical_and(known, name_mask), ops.logical_not(is_easy)[:, None])
    chosen = ops.logical_and(ops.logical_and(is_best, scores > 0), face_mask[..., None])
    chosen = ops.logical_and(chosen, open_names[:, None, :])
    is_matched = ops.any(chosen, axis=1)
    best_face = ops.cast(ops.argmax(ops.where(chosen, scores, lowest), axis=1), "int32")
    matched_face = ops.where(is_matched, best_face, -ops.ones_like(best_face))
    faces = ops.arange(ops.shape(scores)[1], dtype="int32")
    taken = ops.any(ops.equal(matched_face[:, None, :], faces[None, :, None]), axis=2)
    return Matching(
        matched_face,
        ops.logical_and(face_mask, ops.logical_not(taken)),
        ops.logical_and(name_mask, ops.logical_not(is_matched)),
    )


def _count(mask):
    return ops.sum(ops.cast(mask, "int32"), axis=1)
