"""Sums over all triplets of an anchor, from one sort of its distances."""

from typing import NamedTuple

from keras import ops

from contrast.typing import Tensor

TRIPLETS = ("all", "hard", "semi_hard")


class TripletSums(NamedTuple):
    """Three float32 tensors `(rows,)`.

    Attributes:
        violation: the sum of what the triplets lack to the margin.
        active: how many triplets lack something; no gradient flows through it.
        triplets: how many triplets there are.
    """

    violation: Tensor
    active: Tensor
    triplets: Tensor


def triplet_sums(
    distances: Tensor, positives: Tensor, negatives: Tensor, margin: float, kind: str = "all"
) -> TripletSums:
    r"""Sums the violations of the margin over all triplets of each anchor, without making the triplets.

    $$\sum_{p \in P_i} \sum_{n \in N_i} [\,m + d_{ip} - d_{in}\,]_+$$

    Each positive's distance plus the margin is sorted among the negatives' distances; how many negatives come
    before it is how often it counts. Time is that of a sort for each row, memory that of the distances.

    Args:
        distances: float32 tensor `(rows, columns)`.
        positives, negatives: bool tensors `(rows, columns)`.
        margin: the float $m$, at least 0.
        kind: which triplets that violate the margin count: `"all"`; `"hard"`, whose negative is no farther
            than the positive; `"semi_hard"`, whose negative is farther.

    Returns:
        A `TripletSums`.

    Raises:
        ValueError: if the kind is unknown.

    Example:

    >>> distances = np.array([[0.0, 1.0, 1.2, 9.0]], "float32")
    >>> positives = np.array([[False, True, False, False]])
    >>> negatives = np.array([[False, False, True, True]])
    >>> sums = contrast.ops.triplet_sums(distances, positives, negatives, margin=0.5)
    >>> [round(float(value[0]), 3) for value in sums]
    [0.3, 1.0, 2.0]
    """
    if kind not in TRIPLETS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, TRIPLETS))}, got {kind!r}.")
    distances, positives, negatives = map(ops.convert_to_tensor, (distances, positives, negatives))
    fixed = ops.stop_gradient(distances)
    counts = 0.0
    if kind != "hard":
        counts = _counts(fixed, positives, negatives, margin, below=True)
    if kind != "all":
        hard = _counts(fixed, positives, negatives, 0.0, below=False)
        counts = hard if kind == "hard" else counts - hard
    positive, negative = ops.cast(positives, "float32"), ops.cast(negatives, "float32")
    active = ops.sum(counts * positive, axis=1)
    # The counts of positives and negatives are equal, so that a shift of the row changes the rounding alone.
    paired = ops.logical_or(positives, negatives)
    center = ops.sum(ops.where(paired, fixed, 0.0), axis=1, keepdims=True)
    center = center / ops.maximum(ops.sum(ops.cast(paired, "float32"), axis=1, keepdims=True), 1.0)
    shifted = ops.where(paired, distances - center, 0.0)
    violation = margin * active + ops.sum(counts * (positive - negative) * shifted, axis=1)
    return TripletSums(violation, active, ops.sum(positive, axis=1) * ops.sum(negative, axis=1))


def _counts(distances, positives, negatives, shift, below):
    """How many negatives are nearer than a positive plus the shift, and the same seen from the negatives.

    With `below` a negative at just that distance does not count, else it does.
    """
    distances = ops.maximum(distances, 0.0)
    sign = -1.0 if below else 1.0
    moved = (distances + shift) * (1.0 + sign * 2.5e-7) + sign * 1e-30
    keys = ops.where(positives, moved, ops.where(negatives, distances, float("inf")))
    order = ops.argsort(keys, axis=1)
    positive = ops.take_along_axis(ops.cast(positives, "float32"), order, axis=1)
    negative = ops.take_along_axis(ops.cast(negatives, "float32"), order, axis=1)
    beyond = ops.sum(positive, axis=1, keepdims=True) - ops.cumsum(positive, axis=1)
    counts = positive * ops.cumsum(negative, axis=1) + negative * beyond
    return ops.take_along_axis(counts, ops.argsort(order, axis=1), axis=1)
