"""Distances whose answer is known, to calibrate a threshold on."""

import numpy as np
from numpy.typing import ArrayLike

from contrast.retrieval.embedding_index import DISTANCES, EmbeddingIndex
from contrast.retrieval.matrices import as_array, finite_matrix, unit

CHUNK = 1 << 22  # numbers that are held at once


def pair_distances(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    distance: str = "cosine",
    max_pairs: int = 1_000_000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of any two of the embeddings, and whether their labels are the same.

    Args:
        embeddings: float array or tensor `(rows, dim)`, of classes that the encoder has not been trained on.
        labels: `(rows,)`, numbers or strings.
        distance: as in `EmbeddingIndex`.
        max_pairs: where there are more pairs, this many are drawn with equal chances, each at most once.
        seed: of the draw.

    Returns:
        Distances, float32 `(pairs,)`, and bools `(pairs,)`, for `calibrate`.

    Raises:
        ValueError: if the distance is unknown, embeddings are not finite or fewer than two, or there is not
            one label for each.

    Example:

    >>> embeddings = [[0.0, 1.0], [0.0, 2.0], [1.0, 0.0]]
    >>> contrast.retrieval.pair_distances(embeddings, ["a", "a", "b"])
    (array([0., 1., 1.], dtype=float32), array([ True, False, False]))
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, got {distance!r}.")
    rows = finite_matrix("embeddings", embeddings)
    labels = _labels("labels", labels, len(rows))
    if len(rows) < 2:
        raise ValueError(f"embeddings must be at least 2, got {len(rows)}.")
    rows = unit(rows) if distance == "cosine" else rows
    first, second = _pairs(len(rows), max_pairs, seed)
    distances = np.empty(len(first), "float32")
    step = max(1, CHUNK // rows.shape[1])
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        a, b = rows[first[part]], rows[second[part]]
        if distance == "euclidean":
            distances[part] = np.linalg.norm(a - b, axis=1)
        else:
            distances[part] = DISTANCES[distance][1](np.einsum("pd,pd->p", a, b))
    return distances, labels[first] == labels[second]


def nearest_distances(
    index: EmbeddingIndex, queries: ArrayLike, labels: ArrayLike, item_labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """The distance of each query from its nearest item, and whether the two have the same label.

    Args:
        index: the items.
        queries: float array or tensor `(queries, dim)`, none of them an item itself; of classes that the
            encoder has not been trained on, and some of them of classes that the index does not hold, in the
            share that is expected later.
        labels: of the queries `(queries,)`.
        item_labels: of the items, in the order of `index.keys`.

    Returns:
        Distances, float32 `(queries,)`, and bools `(queries,)`, for `calibrate`. Its recall is then the share
        that is matched of the queries whose nearest item is the right one.

    Raises:
        ValueError: if the index is empty, there is not one label for each query and item, or queries have
            another width or are not finite.

    Example:

    >>> index = contrast.retrieval.EmbeddingIndex()
    >>> keys = index.add([[0.0, 1.0], [1.0, 0.0]])
    >>> contrast.retrieval.nearest_distances(index, [[0.0, 3.0], [1.0, 0.0]], ["a", "c"], ["a", "b"])
    (array([0., 0.], dtype=float32), array([ True, False]))
    """
    item_labels = _labels("item_labels", item_labels, len(index))
    labels = _labels("labels", labels, len(as_array(queries)))
    found = index.search(queries, 1)
    order = {key: row for row, key in enumerate(index.keys.tolist())}
    nearest = item_labels[[order[key] for key in found.keys[:, 0].tolist()]]
    return found.distances[:, 0], nearest == labels


def _labels(name, labels, count):
    labels = np.asarray(as_array(labels))
    if labels.shape != (count,):
        raise ValueError(f"{name} must be ({count},), got shape {labels.shape}.")
    return labels


def _pairs(rows, max_pairs, seed):
    """Pairs of different rows, the lower one first: all of them, or some."""
    count = rows * (rows - 1) // 2
    if count <= max_pairs:
        return np.triu_indices(rows, 1)
    generator, numbers = np.random.default_rng(seed), np.empty(0, "int64")
    while len(numbers) < max_pairs:
        numbers = np.unique(np.concatenate([numbers, generator.integers(0, count, max_pairs)]))
    numbers = generator.permutation(numbers)[:max_pairs]
    # Pair n = second (second - 1) / 2 + first; the root may be off by one in its last digit.
    second = ((1 + np.sqrt(1 + 8 * numbers)) / 2).astype("int64")
    second += (second + 1) * second // 2 <= numbers
    second -= second * (second - 1) // 2 > numbers
    return numbers - second * (second - 1) // 2, second
