"""Contrast between the tokens of one sample: each word must find what it alone sees in the image."""

import math
from typing import Any

from keras import ops

from contrast import backend
from contrast.ops import l2_normalize
from contrast.ops.shapes import agree
from contrast.typing import Tensor


def token_alignment_loss(
    a: Tensor,
    b: Tensor,
    a_mask: Tensor | None = None,
    b_mask: Tensor | None = None,
    *,
    temperature: Any = 0.1,
) -> Tensor:
    r"""Each token of a must be recognised by what it attends to among the tokens of its sample's b.

    With $L$ tokens $a_i$ of dimension $d$ and the tokens $B$ of the same sample, $\bar x = x / \|x\|$,
    $$c_i = B^\top \mathrm{softmax}(B a_i / \sqrt d), \qquad S_{ij} = \bar a_i \cdot \bar c_j / \tau,$$
    $$\ell_i = -\frac12 \left( \log \frac{e^{S_{ii}}}{\sum_j e^{S_{ij}}} + \log \frac{e^{S_{ii}}}
    {\sum_j e^{S_{ji}}} \right),$$
    and the loss is the mean of $\ell_i$ over all real tokens of the batch.

    Use it beside a loss between whole samples, where words name parts of an image: candidates are only the
    tokens of the same sample. For sets that compete with the sets of other samples use
    `set_contrastive_loss`.

    Args:
        a: float tensor `(batch, tokens_a, dim)`, for example the words of a text.
        b: float tensor `(batch, tokens_b, dim)`, for example the patches of the image.
        a_mask: bool tensor `(batch, tokens_a)`, `True` for real tokens; `None`: all are real. Padding is
            neither an anchor nor a candidate.
        b_mask: bool tensor `(batch, tokens_b)`, likewise; nothing attends to padding.
        temperature: positive number or tensor that divides the similarities.

    Returns:
        A float32 scalar. A sample without a real token in a or in b takes no part; 0 if no sample does.

    Raises:
        ValueError: if the shapes do not fit together, or the temperature is not positive.

    Example:

    >>> loss = contrast.losses.token_alignment_loss
    >>> words, patches = np.eye(4)[None], np.eye(4)[None]
    >>> alike = np.ones((1, 4, 4))
    >>> float(loss(words, 9 * patches)) < float(loss(words, alike))
    True

    Reference: [Wang et al., 2022](https://arxiv.org/abs/2210.06044), cross-attention-based token-wise
        alignment, here without weights of its own.
    """
    if isinstance(temperature, int | float) and not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    a, b = (ops.cast(ops.convert_to_tensor(x), "float32") for x in (a, b))
    _check_shapes(a.shape, b.shape)
    real = _as_mask("a_mask", a_mask, a)
    real_b = _as_mask("b_mask", b_mask, b)
    real = ops.logical_and(real, ops.any(real_b, axis=1, keepdims=True))
    # Padding may hold anything, NaN included: it is replaced before it is read.
    a = ops.where(real[:, :, None], a, ops.zeros_like(a))
    b = ops.where(real_b[:, :, None], b, ops.zeros_like(b))
    scores = ops.matmul(a, ops.transpose(b, (0, 2, 1))) / math.sqrt(a.shape[-1])
    attended = ops.matmul(ops.softmax(ops.where(real_b[:, None, :], scores, -1e30)), b)
    similarity = ops.matmul(l2_normalize(a), ops.transpose(l2_normalize(attended), (0, 2, 1))) / temperature
    # Each token sees at least itself, so that no softmax runs over nothing.
    itself = ops.eye(ops.shape(a)[1], dtype="bool")[None]
    visible = ops.logical_or(ops.logical_and(real[:, :, None], real[:, None, :]), itself)
    similarity = ops.where(visible, similarity, -1e30)
    log_probability = ops.log_softmax(similarity, axis=2) + ops.log_softmax(similarity, axis=1)
    losses = -0.5 * ops.diagonal(log_probability, axis1=1, axis2=2)
    weight = ops.cast(real, "float32")
    count = backend.mean_over_replicas(ops.sum(weight))
    return ops.sum(losses * weight) / ops.maximum(count, 1.0 / backend.replica_count())


def _check_shapes(a, b):
    if len(a) != 3 or not agree(b, (a[0], None, a[-1])):
        raise ValueError(
            "a and b must be (batch, tokens, dim) with the same batch and dim, "
            f"got shapes {tuple(a)} and {tuple(b)}."
        )


def _as_mask(name, mask, tokens):
    if mask is None:
        return ops.ones(ops.shape(tokens)[:2], dtype="bool")
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    shape = tuple(tokens.shape[:2])
    if not agree(mask.shape, shape):
        raise ValueError(f"{name} must have one entry a token, {shape}, got shape {tuple(mask.shape)}.")
    return mask
