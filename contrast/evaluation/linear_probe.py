import logging
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler

from contrast.evaluation.accuracies import accuracies
from contrast.evaluation.inputs import train_and_test

logger = logging.getLogger("contrast")

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def linear_probe(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    C: float | Sequence[float] | None = None,  # noqa: N803
    validation: float = 0.2,
    max_iter: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    r"""How well a linear classifier on frozen features tells classes apart.

    Logistic regression on features scaled to mean 0 and variance 1 over the training part,
    $$\min_{W, b} \; \tfrac{1}{2} \lVert W \rVert^2
    - C \sum_i \log \operatorname{softmax} (W x_i + b)_{y_i}.$$

    Use it for what the features hold; `knn_probe` asks how they lie, with nothing to train. For numbers
    instead of classes use `ridge_probe`.

    Args:
        train_features: float array or tensor `(rows, dim)`.
        train_labels: ints or strings `(rows,)`, at least two classes.
        test_features, test_labels: the same for rows that were not in training.
        C: positive float; or several, or `None` for 1e-4, 1e-3, ... 10, of which the one with the best
            accuracy on a part of the training rows is taken (of equal ones the smallest) and fitted on all of
            them. The test part has no say.
        validation: share of the training rows for that choice, from each class alike.
        max_iter: steps of the solver; where they do not suffice, the logger `contrast` says so.
        seed: of the split.

    Returns:
        `accuracy`; `balanced_accuracy`, the mean over the classes of the test part; and the `C` taken. Where
        the features are all alike, the answer is the largest class.

    Raises:
        ValueError: if features are not finite, no matrices or of two widths, lengths differ, there are less
            than two classes, a test class is not in training, or, where C is to be chosen, a class has a
            single row.

    Example:

    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> scores = contrast.evaluation.linear_probe(x[::2], y[::2], x[1::2], y[1::2])
    >>> 0.9 < scores["accuracy"] <= 1
    True

    References: [Alain and Bengio, 2016](https://arxiv.org/abs/1610.01644);
        [Chen et al., 2020](https://arxiv.org/abs/2002.05709), appendix B, C chosen on a validation part.
    """
    train, classes, test, test_classes = train_and_test(
        train_features, train_labels, test_features, test_labels
    )
    choices = (
        GRID if C is None else tuple(sorted(float(value) for value in np.atleast_1d(np.asarray(C, float))))
    )
    if not choices or not min(choices) > 0:
        raise ValueError(f"C must be positive, got {C!r}.")
    if len(choices) > 1:
        choices = (_chosen(train, classes, choices, validation, max_iter, seed),)
    (predicted,) = _predictions(train, classes, test, choices, max_iter)
    return {**accuracies(test_classes, predicted), "C": choices[0]}


def _chosen(features, labels, choices, validation, max_iter, seed):
    if not 0 < validation < 1:
        raise ValueError(f"validation must lie in (0, 1), got {validation}.")
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            "train_labels must hold each class at least twice for the choice of C, got "
            f"{names.tolist()[counts.argmin()]!r} once; give C."
        )
    held = np.zeros(len(labels), bool)
    random = np.random.default_rng(seed)
    for name, count in zip(names, counts, strict=True):  # of each class at least a row on both sides
        rows = random.permutation(np.flatnonzero(labels == name))
        held[rows[: min(max(1, round(validation * count)), count - 1)]] = True
    predictions = _predictions(features[~held], labels[~held], features[held], choices, max_iter)
    scores = [accuracy_score(labels[held], predicted) for predicted in predictions]
    return choices[int(np.argmax(scores))]


def _predictions(features, labels, others, choices, max_iter):
    """The classes of `others` for each C, ascending; each fit starts where the last one ended."""
    scaler = StandardScaler().fit(features.astype("float64"))
    features, others = scaler.transform(features), scaler.transform(others)
    if not scaler.var_.any():
        logger.warning("The features of the linear probe are all alike: it can only guess.")
    model = LogisticRegression(max_iter=max_iter, warm_start=True)
    for value in choices:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.set_params(C=value).fit(features, labels)
        if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
            logger.warning(
                "The linear probe with C=%g has not converged in %d steps; raise max_iter.", value, max_iter
            )
        yield model.predict(others)
