import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from contrast.evaluation.inputs import class_labels, feature_matrix, positive_int
from contrast.retrieval.matrices import as_array, unit


def clustering_scores(
    embeddings_or_clusters: ArrayLike,
    labels: ArrayLike,
    clusters: int | None = None,
    normalize: bool = True,
    restarts: int = 10,
    seed: int = 0,
) -> dict[str, float]:
    r"""How well clusters agree with classes that the clustering has not seen.

    `accuracy` gives each cluster the class that makes most rows right, no class twice: with $n_{cy}$ rows of
    class y in cluster c, $\frac{1}{n} \max_\pi \sum_c n_{c \pi(c)}$ over one-to-one maps $\pi$ (ACC). Rows of
    clusters beyond the number of classes are wrong. `nmi` is the mutual information of clusters and classes
    divided by the mean of their entropies; `ari` the share of pairs that both treat alike, adjusted so that
    chance is 0.

    Args:
        embeddings_or_clusters: float array or tensor `(rows, dim)`, which k-means divides; or ints `(rows,)`,
            the clusters themselves.
        labels: ints or strings `(rows,)`.
        clusters: of k-means; `None`: as many as there are classes.
        normalize: scale embeddings to unit length first, so that k-means goes by cosine.
        restarts: of k-means, of which the best by its own objective is taken.
        seed: of k-means.

    Returns:
        `accuracy`, `nmi` and `ari`.

    Raises:
        ValueError: if embeddings are not finite or no matrix, lengths differ, or there are more clusters than
            rows.

    Example:

    >>> scores = contrast.evaluation.clustering_scores([5, 5, 7, 7, 7], ["a", "a", "b", "b", "a"])
    >>> round(scores["accuracy"], 3), round(scores["nmi"], 3), round(scores["ari"], 3)
    (0.8, 0.433, 0.167)

    References: [Yang et al., 2010](https://doi.org/10.1109/TIP.2010.2049235), accuracy by assignment;
        [Vinh et al., 2010](https://jmlr.org/papers/v11/vinh10a.html), NMI and ARI.
    """
    found = np.asarray(as_array(embeddings_or_clusters))
    if found.ndim == 1 and found.size:
        found = class_labels("embeddings_or_clusters", found, len(found))
        labels = class_labels("labels", labels, len(found))
    else:
        embeddings = feature_matrix("embeddings_or_clusters", found)
        labels = class_labels("labels", labels, len(embeddings))
        count = len(np.unique(labels)) if clusters is None else positive_int("clusters", clusters)
        if count > len(embeddings):
            raise ValueError(f"clusters must be at most the {len(embeddings)} rows, got {count}.")
        model = KMeans(count, n_init=positive_int("restarts", restarts), random_state=seed)
        found = model.fit_predict(unit(embeddings) if normalize else embeddings)
    table = contingency_matrix(labels, found)
    right = table[linear_sum_assignment(table, maximize=True)].sum()
    return {
        "accuracy": float(right / len(labels)),
        "nmi": float(normalized_mutual_info_score(labels, found)),
        "ari": float(adjusted_rand_score(labels, found)),
    }
