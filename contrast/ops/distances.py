"""Distances between embeddings, with finite gradients where embeddings coincide."""

from keras import ops

from contrast.typing import Tensor

DISTANCES = ("euclidean", "squared_euclidean", "cosine")
_ROUNDING = 1e-6  # of the squared lengths: a squared difference below it is what float32 leaves of zero


def pairwise_distances(rows: Tensor, columns: Tensor, distance: str = "euclidean") -> Tensor:
    r"""The distance of each row to each column, from one matrix product.

    $$\|a_i - b_j\|, \qquad \|a_i - b_j\|^2 \qquad \text{or} \qquad 1 - a_i \cdot b_j$$

    Vectors that differ by less than a thousandth of their lengths have Euclidean distance 0, with zero
    gradient: float32 cannot tell more from a matrix product.

    Args:
        rows: float32 tensor `(rows, dim)`.
        columns: float32 tensor `(columns, dim)`.
        distance: `"euclidean"`, `"squared_euclidean"` or `"cosine"`, which takes vectors of unit length.

    Returns:
        A float32 tensor `(rows, columns)`.

    Raises:
        ValueError: if the distance is unknown.

    Example:

    >>> points = np.array([[0.0, 0.0], [3.0, 4.0]], "float32")
    >>> keras.ops.convert_to_numpy(contrast.ops.pairwise_distances(points, points)).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    products = ops.matmul(rows, ops.transpose(columns))
    if distance == "cosine":
        return 1.0 - products
    lengths = ops.sum(ops.square(rows), axis=1)[:, None] + ops.sum(ops.square(columns), axis=1)[None, :]
    return _of_squares(lengths - 2.0 * products, _ROUNDING * lengths, distance)


def paired_distances(a: Tensor, b: Tensor, distance: str = "euclidean") -> Tensor:
    """The distance of each row of `a` to the same row of `b`, from their difference.

    Rows that differ by less than a millionth of their lengths have Euclidean distance 0, with zero gradient.

    Args:
        a, b: float32 tensors `(rows, dim)`.
        distance: as for `pairwise_distances`.

    Returns:
        A float32 tensor `(rows,)`.

    Raises:
        ValueError: if the distance is unknown.
    """
    if distance == "cosine":
        return 1.0 - ops.sum(a * b, axis=1)
    squares = ops.sum(ops.square(a - b), axis=1)
    # Equal rows may differ in the last bit, by the place at which a vectorised operation met them.
    zero = _ROUNDING**2 * (ops.sum(ops.square(a), axis=1) + ops.sum(ops.square(b), axis=1))
    return _of_squares(squares, zero, distance)


def _of_squares(squares, zero, distance):
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(map(repr, DISTANCES))}, got {distance!r}.")
    apart = ops.greater(squares, ops.stop_gradient(zero))
    if distance == "squared_euclidean":
        return ops.where(apart, squares, ops.zeros_like(squares))
    roots = ops.sqrt(ops.where(apart, squares, ops.ones_like(squares)))
    return ops.where(apart, roots, ops.zeros_like(roots))
