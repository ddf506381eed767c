import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression

from contrast.evaluation.inputs import (
    check_two_classes,
    class_labels,
    feature_matrix,
    positive_int,
    positive_ints,
)
from contrast.retrieval.matrices import unit

CLASSIFIERS = ("prototype", "logistic")


def few_shot_probe(
    features: ArrayLike,
    labels: ArrayLike,
    shots: Sequence[int] = (1, 5, 10),
    ways: int | None = None,
    queries: int = 15,
    episodes: int = 200,
    classifier: str = "prototype",
    seed: int = 0,
) -> dict[str, float]:
    r"""How well classes are told apart from a few labelled rows each.

    An episode draws `ways` classes and, of each, `shots` labelled rows and up to `queries` others to name.
    Features are scaled to unit length. A prototype is the mean of the labelled rows of a class,
    $c_y = \frac{1}{S} \sum_{i \in S_y} x_i$; a query takes the class of the nearest one (Euclidean distance).

    Args:
        features: float array or tensor `(rows, dim)`, none of which the encoder has seen with its label.
        labels: ints or strings `(rows,)`, at least two classes.
        shots: labelled rows of a class; each class needs one row more than the largest.
        ways: classes of an episode, at least 2; `None`: all.
        queries: rows of a class to name.
        episodes: at least 2.
        classifier: `"prototype"`, or `"logistic"`, a logistic regression on the labelled rows.
        seed: of the draws. Episodes do not depend on the classifier.

    Returns:
        For each S of `shots`: `accuracy_<S>_shot`, the mean over episodes, and `interval_<S>_shot`, half the
        width of its 95 % interval, $1.96 \, \sigma / \sqrt{episodes}$. It tells about the draws of episodes,
        not about other data or another training. Chance is 1 / ways.

    Raises:
        ValueError: if features are not finite or no matrix, lengths differ, a class has too few rows, or an
            argument lies outside its range.

    Example:

    >>> from sklearn.datasets import load_iris
    >>> scores = contrast.evaluation.few_shot_probe(*load_iris(return_X_y=True), shots=(1, 5), episodes=50)
    >>> 0.8 < scores["accuracy_1_shot"] < scores["accuracy_5_shot"] < 1
    True

    References: [Snell et al., 2017](https://arxiv.org/abs/1703.05175), prototypes;
        [Chen et al., 2019](https://arxiv.org/abs/1904.04232), probes on frozen features.
    """
    features = feature_matrix("features", features)
    labels = class_labels("labels", labels, len(features))
    check_two_classes("labels", labels)
    names, counts = np.unique(labels, return_counts=True)
    shots, ways = positive_ints("shots", shots), len(names) if ways is None else ways
    if not 2 <= positive_int("ways", ways) <= len(names):
        raise ValueError(f"ways must be from 2 to the {len(names)} classes, got {ways}.")
    if counts.min() <= max(shots):
        raise ValueError(
            f"shots must be below the rows of every class, got {max(shots)}, and "
            f"{names.tolist()[counts.argmin()]!r} has {counts.min()} rows."
        )
    positive_int("queries", queries)
    if positive_int("episodes", episodes) < 2:
        raise ValueError("episodes must be at least 2 for an interval, got 1.")
    if classifier not in CLASSIFIERS:
        raise ValueError(f"classifier must be 'prototype' or 'logistic', got {classifier!r}.")
    answer = _nearest_prototype if classifier == "prototype" else _logistic
    features, rows = unit(features), [np.flatnonzero(labels == name) for name in names]
    scores = {}
    for shot in shots:
        random = np.random.default_rng((seed, shot))
        accuracies = []
        for _ in range(episodes):
            drawn = [random.permutation(rows[way]) for way in random.choice(len(names), ways, replace=False)]
            asked = [order[shot : shot + queries] for order in drawn]
            support = features[np.stack([order[:shot] for order in drawn])]
            truth = np.repeat(np.arange(ways), [len(part) for part in asked])
            accuracies.append(np.mean(answer(support, features[np.concatenate(asked)]) == truth))
        scores[f"accuracy_{shot}_shot"] = float(np.mean(accuracies))
        scores[f"interval_{shot}_shot"] = float(1.96 * np.std(accuracies, ddof=1) / math.sqrt(episodes))
    return scores


def _nearest_prototype(support, queries):
    """Classes 0, 1, ... of queries `(n, dim)` from labelled rows `(ways, shots, dim)`."""
    prototypes = support.mean(axis=1)
    # The square of the query is the same for all prototypes.
    return np.argmin(np.square(prototypes).sum(axis=1) - 2 * queries @ prototypes.T, axis=1)


def _logistic(support, queries):
    ways, shots, dim = support.shape
    model = LogisticRegression(max_iter=1000)
    return model.fit(support.reshape(-1, dim), np.repeat(np.arange(ways), shots)).predict(queries)
