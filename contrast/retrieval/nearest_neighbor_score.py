from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from contrast.retrieval.matrices import as_array, finite_matrix, unit
from contrast.retrieval.nearest_neighbors import NearestNeighbors

COPIES = ("mean_score", "mean_feature")


class NearestNeighborScore:
    """How normal a sample is: its largest cosine with the features of normal samples, from -1 to 1.

    A sample may come as several augmented copies, which makes its score steadier.

    Args:
        bank: float array or tensor `(rows, dim)`, the features of normal samples; or a `NearestNeighbors` by
            cosine.
        copies: what is averaged over the copies of a sample: `"mean_score"`, their scores; `"mean_feature"`,
            their features scaled to unit length.
        **kwargs: `ids` and `exact` of `NearestNeighbors`.

    Call: features `(samples, dim)` or `(samples, copies, dim)` to scores `(samples,)`, float32. `neighbors`
        is the bank: `neighbors.search(features, k)` names the nearest normal samples.

    Raises:
        ValueError: if `copies` is unknown, the bank is not by cosine, or features have another rank or no
            copies; see `NearestNeighbors` for the rest.

    Example:

    >>> score = contrast.retrieval.NearestNeighborScore([[1.0, 0.0], [0.0, 1.0]])
    >>> print(score(np.array([[2.0, 0.0], [-1.0, -1.0]])).round(3))
    [ 1.    -0.707]

    Reference: [Sohn et al., 2021](https://arxiv.org/abs/2011.02578), for features of a contrastive encoder.
    """

    def __init__(self, bank: ArrayLike | NearestNeighbors, copies: str = "mean_score", **kwargs: Any) -> None:
        if copies not in COPIES:
            raise ValueError(f"copies must be 'mean_score' or 'mean_feature', got {copies!r}.")
        self.copies = copies
        self.neighbors = bank if isinstance(bank, NearestNeighbors) else NearestNeighbors(bank, **kwargs)
        if self.neighbors.metric != "cosine":
            raise ValueError(
                f"bank must be a NearestNeighbors with metric='cosine', got metric={self.neighbors.metric!r}."
            )

    def __call__(self, features: ArrayLike) -> np.ndarray:
        features = as_array(features)
        if features.ndim == 2:
            return self.neighbors.search(features).similarities[:, 0]
        if features.ndim != 3 or not features.shape[1]:
            raise ValueError(
                f"features must be (samples, dim) or (samples, copies, dim), got shape {features.shape}."
            )
        samples, copies, dim = features.shape
        rows = features.reshape(samples * copies, dim)
        if self.copies == "mean_feature":
            means = unit(finite_matrix("features", rows)).reshape(features.shape).mean(axis=1)
            return self.neighbors.search(means).similarities[:, 0]
        return self.neighbors.search(rows).similarities.reshape(samples, copies).mean(axis=1)
