"""Similarities between embeddings."""

from keras import ops

from contrast.typing import Tensor


def l2_normalize(x: Tensor) -> Tensor:
    """Scales each vector of the last axis to unit length.

    A zero vector stays zero and gets a finite gradient. The largest entry is divided out first, so that
    neither tiny nor huge vectors under- or overflow when squared.

    Args:
        x: float tensor `(..., dim)`.

    Returns:
        A tensor of the same shape and dtype.
    """
    largest = ops.stop_gradient(ops.max(ops.abs(x), axis=-1, keepdims=True))
    is_zero = ops.equal(largest, 0)
    x = x / ops.where(is_zero, ops.ones_like(largest), largest)
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.where(is_zero, ops.ones_like(square), square))


def max_mean_similarity(
    a: Tensor, b: Tensor, a_mask: Tensor | None = None, b_mask: Tensor | None = None
) -> Tensor:
    r"""How well each set of `a` is covered by each set of `b`: the mean over `a` of the best match in `b`.

    $$S_{ij} = \frac{1}{|a_i|} \sum_{n \in a_i} \max_{f \in b_j} a_{in} \cdot b_{jf}$$

    Also known as late interaction or MaxSim. Of equal maxima the first one takes the gradient, on every
    backend. A set without any real element has similarity 0 to everything, with zero gradient.

    Args:
        a: float tensor `(sets_a, elements_a, dim)`.
        b: float tensor `(sets_b, elements_b, dim)`.
        a_mask: bool tensor `(sets_a, elements_a)`, `True` for real elements; `None`: all are real.
        b_mask: bool tensor `(sets_b, elements_b)`, likewise.

    Returns:
        A float tensor `(sets_a, sets_b)`.

    Raises:
        ValueError: if the ranks are not 3 or the last dimensions differ.

    Example:

    >>> faces = np.random.normal(size=(4, 2, 8)).astype("float32")
    >>> names = np.random.normal(size=(4, 3, 8)).astype("float32")
    >>> tuple(contrast.ops.max_mean_similarity(names, faces).shape)
    (4, 4)

    References: [Khattab and Zaharia, 2020](https://arxiv.org/abs/2004.12832)
    """
    a, b = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
    if len(a.shape) != 3 or len(b.shape) != 3 or a.shape[-1] != b.shape[-1]:
        raise ValueError(
            "a and b must be (sets, elements, dim) with the same dim, "
            f"got shapes {tuple(a.shape)} and {tuple(b.shape)}."
        )
    similarity = ops.einsum("ind,jfd->ijnf", a, b)
    if b_mask is not None:
        b_mask = ops.cast(b_mask, "bool")[None, :, None, :]
        similarity = ops.where(b_mask, similarity, float("-inf"))
    best = ops.argmax(ops.stop_gradient(similarity), axis=-1)
    maximum = ops.squeeze(ops.take_along_axis(similarity, best[..., None], axis=-1), -1)
    if b_mask is not None:
        maximum = ops.where(ops.any(b_mask, axis=-1), maximum, ops.zeros_like(maximum))
    if a_mask is None:
        return ops.mean(maximum, axis=-1)
    weight = ops.cast(a_mask, maximum.dtype)[:, None, :]
    return ops.sum(maximum * weight, axis=-1) / ops.maximum(ops.sum(weight, axis=-1), 1)
