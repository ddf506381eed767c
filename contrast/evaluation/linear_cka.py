import math

import numpy as np
from numpy.typing import ArrayLike

from contrast.evaluation.inputs import feature_matrix


def linear_cka(x: ArrayLike, y: ArrayLike, debiased: bool = False) -> float:
    r"""How alike two representations of the same samples are: linear centred kernel alignment.

    With centred features X and Y,
    $$\frac{\lVert Y^\top X \rVert_F^2}{\lVert X^\top X \rVert_F \, \lVert Y^\top Y \rVert_F},$$
    from 0 to 1; 1 if one is the other rotated, scaled or moved. Unlike a probe it asks for the whole of the
    representation, without labels. The widths may differ. It takes time $O(n d^2)$ and memory $O(d^2)$, or
    $O(n^2 d)$ and $O(n^2)$ where there are fewer samples than dimensions.

    With few samples for the widths even independent representations come out alike. `debiased` takes the
    unbiased estimate of each of the three terms: independent representations have mean 0, and the result may
    leave [0, 1].

    Args:
        x, y: float arrays or tensors `(samples, dim)`: row i of both is one sample.
        debiased: see above; needs at least four samples.

    Returns:
        A float; NaN if a representation is the same for all samples, or, debiased, has no estimate.

    Raises:
        ValueError: if the number of samples differs or is below two (four), or something is not finite.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> rotated = x[:, [2, 0, 1]] * [1.0, -1.0, 1.0]
    >>> round(contrast.evaluation.linear_cka(x, 5 * rotated + 1), 6)
    1.0

    References: [Kornblith et al., 2019](https://arxiv.org/abs/1905.00414);
        [Song et al., 2012](https://jmlr.org/papers/v13/song12a.html), the unbiased estimate.
    """
    x, y = feature_matrix("x", x), feature_matrix("y", y)
    least = 4 if debiased else 2
    if len(x) != len(y) or len(x) < least:
        raise ValueError(
            f"x and y must hold the same samples, at least {least}, got {len(x)} and {len(y)} rows."
        )
    x, y = _centred(x), _centred(y)
    if not (x.any() and y.any()):
        return math.nan
    similarity = _debiased if debiased else _product
    squares = similarity(x, x) * similarity(y, y)
    return similarity(x, y) / math.sqrt(squares) if squares > 0 else math.nan


def _centred(x):
    """Centred, in float64, of largest entry 1; zero if the rows differ by rounding only."""
    size = max(float(np.abs(x).max()), float(np.finfo("float32").tiny))
    x = x.astype("float64") / size
    x -= x.mean(axis=0)
    largest = np.abs(x).max()
    return x / largest if largest > 1e-6 else np.zeros_like(x)


def _product(x, y):
    """The squared Frobenius norm of Y'X, which is also the sum of XX' times YY' entry by entry."""
    if x.shape[1] * y.shape[1] > len(x) ** 2:
        return float(np.sum((x @ x.T) * (y @ y.T)))
    return float(np.sum(np.square(y.T @ x)))


def _debiased(x, y):
    """n (n - 3) times the unbiased estimate of HSIC (Eq. 5 of Song et al.), from centred features."""
    n = len(x)
    rows_x, rows_y = np.square(x).sum(axis=1), np.square(y).sum(axis=1)
    correction = rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))
    return _product(x, y) - n / (n - 2) * float(rows_x @ rows_y) + float(correction)
