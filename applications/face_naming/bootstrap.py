"""The losses of SECLA-B's second stage, between matched faces, their names and faces from the bank."""

from keras import ops

from contrast.losses import diagonal_cross_entropy
from contrast.ops import max_mean_similarity


def bootstrapped_similarities(matched_faces, bank_faces, names, face_mask=None, name_mask=None):
    r"""Similarities of items to themselves by their matched faces, to others by those others' bank faces.

    $$A'_{pq} = s(N_p, M_p) \text{ if } p = q \text{ else } s(N_p, K_q), \qquad
    C'_{pq} = s(M_p, N_p) \text{ if } p = q \text{ else } s(K_p, N_q)$$

    Args:
        matched_faces: float `(items, elements, dim)`, the $M_p$.
        bank_faces: float `(items, elements, dim)`, the $K_p$.
        names: float `(items, elements, dim)`, the $N_p$.
        face_mask: bool `(items, elements)` of matched and bank faces; `None`: all are real.
        name_mask: bool `(items, elements)` of names; `None`: all are real.

    Returns:
        The two float `(items, items)` tensors.
    """
    itself = ops.eye(ops.shape(names)[0], dtype="bool")
    names_to_faces = ops.where(
        itself,
        max_mean_similarity(names, matched_faces, name_mask, face_mask),
        max_mean_similarity(names, bank_faces, name_mask, face_mask),
    )
    faces_to_names = ops.where(
        itself,
        max_mean_similarity(matched_faces, names, face_mask, name_mask),
        max_mean_similarity(bank_faces, names, face_mask, name_mask),
    )
    return names_to_faces, faces_to_names


def consistency_loss(matched_faces, bank_faces, face_mask=None, valid=None):
    """Matched faces find their items' bank faces and the other way round: what was learned is not forgotten.

    Args:
        matched_faces, bank_faces: float `(items, elements, dim)`.
        face_mask: bool `(items, elements)`; `None`: all are real.
        valid: bool `(items,)`; `None`: all take part.

    Returns:
        The two cross-entropies, matched to bank and bank to matched, float scalars.
    """
    return tuple(
        diagonal_cross_entropy(max_mean_similarity(a, b, face_mask, face_mask), valid)
        for a, b in ((matched_faces, bank_faces), (bank_faces, matched_faces))
    )
