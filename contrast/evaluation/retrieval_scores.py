from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from contrast.evaluation.inputs import check_same_width, class_labels, feature_matrix, positive_ints
from contrast.metrics.recall_at_k import TIE
from contrast.retrieval.matrices import unit

ENTRIES = 2**20  # of the matrix of similarities held at once


def retrieval_scores(
    query_embeddings: ArrayLike,
    query_labels: ArrayLike | None = None,
    gallery_embeddings: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    *,
    relevance: Any = None,
    ks: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
    r"""How high the relevant items of a gallery stand when it is sorted by cosine to each query.

    With $g_r \ge 0$ the grade of the item at rank r (1 or 0 for labels), R the number of items with a grade
    above 0 and $P(r)$ the share of those among the first r, the mean over queries of

    - `recall_at_<k>`: 1 if one of the first k is relevant, else 0, as metric learning has it;
    - `ndcg_at_<k>`: $\sum_{r \le k} g_r / \log_2 (1 + r)$, divided by what the best order would give;
    - `map`: average precision, $\frac{1}{R} \sum_{r} P(r) \, [g_r > 0]$;
    - `map_at_r`: the same sum over $r \le R$ only; `r_precision`: $P(R)$;
    - `mrr`: 1 / rank of the first relevant item.

    An item that is not relevant stands before relevant ones of an equal cosine (within 1e-6), as in
    `contrast.metrics.RecallAtK`: embeddings that are all alike are no good order.

    Args:
        query_embeddings: float array or tensor `(queries, dim)`.
        query_labels: ints or strings `(queries,)`: items of an equal label are relevant.
        gallery_embeddings: float array or tensor `(items, dim)`; `None`: the queries themselves, each of
            which is then left out of its own gallery.
        gallery_labels: ints or strings `(items,)`; `None` with `gallery_embeddings=None`.
        relevance: instead of labels, for each query the relevant rows of the gallery: ints, or a dict from
            row to grade.
        ks: from 1 to the number of items.

    Returns:
        The scores; `queries`, how many they are the mean of; and `without_relevant`, how many have no
        relevant item and are left out. Without any query left the scores are NaN.

    Raises:
        ValueError: if embeddings are not finite, no matrices or of two widths, lengths differ, neither or
            both of labels and relevance are given, a row is not in the gallery, a grade is negative, or a k
            lies outside its range.

    Example:

    >>> gallery = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    >>> labels = ["b", "a", "b", "a"]
    >>> scores = contrast.evaluation.retrieval_scores([[1.0, 0.1]], ["a"], gallery, labels, ks=(1, 2))
    >>> scores["recall_at_1"], scores["recall_at_2"], scores["mrr"], scores["map"]
    (0.0, 1.0, 0.5, 0.5)

    References: [Musgrave et al., 2020](https://arxiv.org/abs/2003.08505), mAP@R and R-precision;
        [Järvelin and Kekäläinen, 2002](https://doi.org/10.1145/582415.582418), nDCG.
    """
    queries = feature_matrix("query_embeddings", query_embeddings)
    alone = gallery_embeddings is None
    gallery = queries if alone else feature_matrix("gallery_embeddings", gallery_embeddings)
    check_same_width("query_embeddings", queries, "gallery_embeddings", gallery)
    grades = _grades(len(queries), len(gallery), query_labels, gallery_labels, relevance, alone)
    items = len(gallery) - alone
    ks = positive_ints("ks", ks)
    if max(ks) > items:
        raise ValueError(f"ks must be at most the {items} items of the gallery of a query, got {max(ks)}.")
    queries, gallery = unit(queries), unit(gallery)
    totals, counted, step = {}, 0, max(1, ENTRIES // len(gallery))
    for start in range(0, len(queries), step):
        similarity = queries[start : start + step] @ gallery.T
        grade = grades(start, start + len(similarity))
        if alone:  # the query itself stands last, and is not relevant
            own = np.arange(len(similarity)), np.arange(start, start + len(similarity))
            similarity[own], grade[own] = -2.0, 0.0
        kept = (grade > 0).any(axis=1)
        counted += int(kept.sum())
        for name, values in _scores(_ranked(similarity[kept], grade[kept]), ks).items():
            totals[name] = totals.get(name, 0.0) + float(values.sum())
    scores = {name: total / counted if counted else float("nan") for name, total in totals.items()}
    return {**scores, "queries": float(counted), "without_relevant": float(len(queries) - counted)}


def _grades(queries, items, query_labels, gallery_labels, relevance, alone):
    """A function from first and last query to their grades, float32 `(queries, items)`."""
    if (query_labels is None) == (relevance is None):
        raise ValueError("give either query_labels or relevance.")
    if relevance is not None:
        if gallery_labels is not None:
            raise ValueError("gallery_labels must be None with relevance.")
        relevant = _checked_relevance(relevance, queries, items)
        return lambda start, stop: _dense(relevant[start:stop], items)
    if alone != (gallery_labels is None):
        raise ValueError("gallery_embeddings and gallery_labels must be given together.")
    asked = class_labels("query_labels", query_labels, queries)
    held = asked if alone else class_labels("gallery_labels", gallery_labels, items)
    return lambda start, stop: (asked[start:stop, None] == held[None, :]).astype("float32")


def _checked_relevance(relevance, queries, items):
    """For each query its relevant rows and their grades."""
    if len(relevance) != queries:
        raise ValueError(
            f"relevance must have one entry for each of {queries} queries, got {len(relevance)}."
        )
    pairs = []
    for query, entry in enumerate(relevance):
        rows = np.array(list(entry), "int64")
        grades = np.array(
            list(entry.values()) if isinstance(entry, Mapping) else np.ones(len(rows)), "float32"
        )
        if rows.size and not (rows.min() >= 0 and rows.max() < items):
            raise ValueError(f"relevance of query {query} names a row outside the gallery of {items} rows.")
        if not (grades >= 0).all():
            raise ValueError(f"relevance of query {query} has a grade that is negative or NaN.")
        pairs.append((rows, grades))
    return pairs


def _dense(relevant, items):
    grades = np.zeros((len(relevant), items), "float32")
    for row, (columns, values) in zip(grades, relevant, strict=True):
        row[columns] = values
    return grades


def _ranked(similarity, grade):
    """Grades `(queries, items)` by rank; of equal cosines the lower grade comes first."""
    order = np.lexsort((grade, -(similarity - TIE * (grade > 0))), axis=1)
    return np.take_along_axis(grade, order, axis=1)


def _scores(grade, ks):
    """Each score of each query."""
    items = grade.shape[1]
    relevant = grade > 0
    found = relevant.cumsum(axis=1)
    ranks = np.arange(1, items + 1)
    precision = found / ranks
    number = found[:, -1]
    within = relevant & (ranks <= number[:, None])
    first = 1 + relevant.argmax(axis=1)
    discount = 1 / np.log2(1 + ranks)
    best = -np.sort(-grade, axis=1)
    scores = {f"recall_at_{k}": (first <= k).astype("float64") for k in ks}
    scores |= {f"ndcg_at_{k}": (grade[:, :k] @ discount[:k]) / (best[:, :k] @ discount[:k]) for k in ks}
    return {
        **scores,
        "map": (precision * relevant).sum(axis=1) / number,
        "map_at_r": (precision * within).sum(axis=1) / number,
        "r_precision": within.sum(axis=1) / number,
        "mrr": 1 / first,
    }
