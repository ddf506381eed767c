import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from contrast.evaluation.inputs import check_same_width, feature_matrix
from contrast.retrieval.matrices import as_array, unit

ROUNDING = 1e-6  # cosines of float32 embeddings that differ by less are equal


def sts_spearman(first: ArrayLike, second: ArrayLike, gold: ArrayLike) -> float:
    r"""How well cosines order pairs as people do: semantic textual similarity (STS).

    Spearman's $\rho$ between $\cos(a_i, b_i)$ and the gold scores: the correlation of their ranks, of equal
    values the mean rank. The scale of the gold scores does not matter.

    Args:
        first, second: float arrays or tensors `(pairs, dim)`: row i of both is one pair.
        gold: floats `(pairs,)`, higher for more similar, not all alike.

    Returns:
        From -1 to 1; papers print it times 100. NaN if the cosines are all alike within 1e-6, as those of a
        collapsed encoder are: then they order nothing.

    Raises:
        ValueError: if shapes differ, there are less than two pairs, something is not finite, or gold is all
            alike.

    Example:

    >>> first, second = np.eye(3)[[0, 0, 0]], np.array([[1.0, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> round(contrast.evaluation.sts_spearman(first, second, [5.0, 2.5, 0.0]), 6)
    1.0

    References: [Reimers et al., 2016](https://aclanthology.org/C16-1009/), why ranks;
        [Gao et al., 2021](https://arxiv.org/abs/2104.08821), appendix B.
    """
    first, second = feature_matrix("first", first), feature_matrix("second", second)
    check_same_width("first", first, "second", second)
    gold = np.asarray(as_array(gold), "float64")
    if len(first) != len(second) or gold.shape != (len(first),):
        raise ValueError(
            f"first, second and gold must hold one row for each pair, got {len(first)}, {len(second)} and "
            f"shape {gold.shape}."
        )
    if len(gold) < 2:
        raise ValueError("first and second must hold at least two pairs, got 1.")
    if not np.isfinite(gold).all():
        raise ValueError(f"gold must be finite, got NaN or infinity in {(~np.isfinite(gold)).sum()} rows.")
    if np.ptp(gold) == 0:
        raise ValueError(f"gold must not be all alike, got {gold[0]:g} for all {len(gold)} pairs.")
    cosines = np.einsum("nd,nd->n", unit(first.astype("float64")), unit(second.astype("float64")))
    if np.ptp(cosines) < ROUNDING:
        return math.nan
    return float(spearmanr(cosines, gold).statistic)
