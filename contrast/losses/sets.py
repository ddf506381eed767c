"""Contrast between sets: a photo's faces and a caption's names, a query's and a document's tokens."""

from typing import Any

from keras import ops

from contrast import backend
from contrast.losses.base import check_choice
from contrast.ops import l2_normalize, max_mean_similarity
from contrast.ops.shapes import agree
from contrast.typing import Tensor

DIRECTIONS = ("both", "a_to_b", "b_to_a")
AGREEMENTS = ("diagonal", "full", None)


def diagonal_cross_entropy(similarity: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Cross-entropy of each row's softmax against the diagonal.

    $$-\frac{1}{|V|} \sum_{i \in V} \log \frac{e^{S_{ii}}}{\sum_{j \in V} e^{S_{ij}}}$$

    Args:
        similarity: float tensor `(batch, batch)`; the positive of row i is column i.
        valid: bool tensor `(batch,)`: the samples V that take part, as rows and as columns; `None`: all.

    Returns:
        A float32 scalar; 0 if no sample is valid.
    """
    similarity = ops.cast(similarity, "float32")
    if valid is None:
        return -ops.mean(ops.diagonal(ops.log_softmax(similarity, axis=1)))
    valid = ops.cast(valid, "bool")
    itself = ops.eye(ops.shape(similarity)[0], dtype="bool")
    visible = ops.logical_or(ops.logical_and(valid[:, None], valid[None, :]), itself)
    log_probability = ops.log_softmax(ops.where(visible, similarity, -1e30), axis=1)
    return -_mean_over(ops.diagonal(log_probability), valid)


def agreement_penalty(
    a_to_b: Tensor, b_to_a: Tensor, kind: str = "diagonal", valid: Tensor | None = None
) -> Tensor:
    r"""How far the two directions of a set similarity are from each other, $(S_{ij} - S'_{ji})^2$ on average.

    Args:
        a_to_b: float tensor `(batch, batch)`, rows are sets of a.
        b_to_a: float tensor `(batch, batch)`, rows are sets of b.
        kind: `"diagonal"`: mean over matching pairs; `"full"`: mean over all pairs.
        valid: bool tensor `(batch,)`: the samples that take part; `None`: all.

    Returns:
        A float32 scalar.

    Reference: Qu, Tuytelaars and Moens, "Weakly Supervised Face Naming with Symmetry-Enhanced Contrastive
    Loss", WACV 2023.
    """
    check_choice("kind", kind, AGREEMENTS[:2])
    square = ops.square(ops.cast(a_to_b, "float32") - ops.transpose(ops.cast(b_to_a, "float32")))
    if valid is None:
        return ops.mean(ops.diagonal(square) if kind == "diagonal" else square)
    valid = ops.cast(valid, "bool")
    if kind == "diagonal":
        return _mean_over(ops.diagonal(square), valid)
    return _mean_over(square, ops.logical_and(valid[:, None], valid[None, :]))


def set_contrastive_loss(
    a: Tensor,
    b: Tensor,
    a_mask: Tensor | None = None,
    b_mask: Tensor | None = None,
    *,
    direction: str = "both",
    agreement: str | None = "diagonal",
    agreement_weight: float = 0.15,
    temperature: Any = 1.0,
    normalize: bool = False,
) -> Tensor:
    r"""Each set must pick its partner among the sets of the batch by `max_mean_similarity`.

    With $A_{ij}$ the similarity of set $a_i$ to $b_j$, $C_{ji}$ that of $b_j$ to $a_i$, and CE the
    `diagonal_cross_entropy`,
    $$L = CE(A) + CE(C) + \frac{\alpha}{N} \sum_i (A_{ii} - C_{ii})^2.$$

    A sample whose set a or set b has no real element has nothing to say and takes no part.

    Args:
        a: float tensor `(batch, elements_a, dim)`.
        b: float tensor `(batch, elements_b, dim)`; set i of b belongs to set i of a.
        a_mask: bool tensor `(batch, elements_a)`, `True` for real elements; `None`: all are real.
        b_mask: bool tensor `(batch, elements_b)`, likewise.
        direction: `"both"`, or only the term in which a picks among b (`"a_to_b"`), or the other way round.
        agreement: `"diagonal"`, `"full"` (all pairs of the batch) or `None`.
        agreement_weight: the factor alpha.
        temperature: positive number or tensor that divides the similarities; 1 leaves the scale to the
            embeddings.
        normalize: scale elements to unit length first.

    Returns:
        A float32 scalar, of the sets of all replicas; 0 if no sample takes part. Give it to
        `contrast.losses.total_loss` as `mean`.

    Raises:
        ValueError: if an option is unknown, the temperature is not positive, or shapes do not fit.

    Example:

    >>> a, b = np.random.normal(size=(2, 4, 3, 8)).astype("float32")
    >>> tuple(contrast.losses.set_contrastive_loss(a, b).shape)
    ()

    Reference: Qu, Tuytelaars and Moens, "Weakly Supervised Face Naming with Symmetry-Enhanced Contrastive
    Loss", WACV 2023.
    """
    check_choice("direction", direction, DIRECTIONS)
    check_choice("agreement", agreement, AGREEMENTS)
    if isinstance(temperature, int | float) and not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    a, b = (ops.cast(ops.convert_to_tensor(x), "float32") for x in (a, b))
    if not agree(a.shape[:1], b.shape[:1]):
        raise ValueError(f"a and b must hold as many sets, got shapes {tuple(a.shape)} and {tuple(b.shape)}.")
    a, b, a_mask, b_mask = map(backend.gather, (a, b, a_mask, b_mask))
    if normalize:
        a, b = l2_normalize(a), l2_normalize(b)
    a = a / temperature
    a_to_b = max_mean_similarity(a, b, a_mask, b_mask)
    b_to_a = max_mean_similarity(b, a, b_mask, a_mask)
    valid = _not_empty(a_mask, b_mask)
    terms = []
    if direction != "b_to_a":
        terms.append(diagonal_cross_entropy(a_to_b, valid))
    if direction != "a_to_b":
        terms.append(diagonal_cross_entropy(b_to_a, valid))
    if agreement is not None and agreement_weight:
        terms.append(agreement_weight * agreement_penalty(a_to_b, b_to_a, agreement, valid))
    return sum(terms[1:], terms[0])


def _not_empty(*masks):
    masks = [ops.any(ops.cast(mask, "bool"), axis=1) for mask in masks if mask is not None]
    if not masks:
        return None
    return masks[0] if len(masks) == 1 else ops.logical_and(*masks)


def _mean_over(values, mask):
    mask = ops.cast(mask, values.dtype)
    return ops.sum(values * mask) / ops.maximum(ops.sum(mask), 1)
