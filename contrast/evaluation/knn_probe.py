import numpy as np
from numpy.typing import ArrayLike

from contrast.evaluation.accuracies import accuracies
from contrast.evaluation.inputs import positive_int, train_and_test
from contrast.retrieval import NearestNeighbors

VOTES = 2**22  # entries held at once, of neighbours and of votes


def knn_probe(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    k: int = 20,
    temperature: float = 0.07,
) -> dict[str, float]:
    r"""How well the nearest training rows tell the class, with nothing to train.

    Each of the k training rows $i$ with the largest cosines $s_i$ to a test row votes for its class with
    weight $\exp(s_i / \tau)$; the class with the most votes is the answer, and of equal ones the first in
    sorted order.

    Args:
        train_features: float array or tensor `(rows, dim)`.
        train_labels: ints or strings `(rows,)`, at least two classes.
        test_features, test_labels: the same for rows that were not in training.
        k: from 1 to the number of training rows; usual are 20 and 200.
        temperature: positive float, $\tau$.

    Returns:
        `accuracy` and `balanced_accuracy`, the mean over the classes of the test part.

    Raises:
        ValueError: if features are not finite, no matrices or of two widths, lengths differ, there are less
            than two classes, a test class is not in training, or k or temperature lies outside its range.

    Example:

    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> scores = contrast.evaluation.knn_probe(x[::2], y[::2], x[1::2], y[1::2])
    >>> 0.9 < scores["accuracy"] <= 1
    True

    References: [Wu et al., 2018](https://arxiv.org/abs/1805.01978), section 3.4;
        [Caron et al., 2021](https://arxiv.org/abs/2104.14294), k = 20.
    """
    train, labels, test, test_classes = train_and_test(
        train_features, train_labels, test_features, test_labels
    )
    if positive_int("k", k) > len(train):
        raise ValueError(f"k must be at most the {len(train)} training rows, got {k}.")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    names, classes = np.unique(labels, return_inverse=True)
    neighbors = NearestNeighbors(train, exact=True)
    predicted = np.empty(len(test), "int64")
    step = max(1, VOTES // (k + len(names)))
    for start in range(0, len(test), step):
        part = slice(start, start + step)
        found = neighbors.search(test[part], k)
        # The largest weight is 1, so that none overflows.
        logits = (found.similarities - found.similarities[:, :1]).astype("float64") / temperature
        votes = np.zeros((len(logits), len(names)))
        np.add.at(votes, (np.arange(len(logits))[:, None], classes[found.ids]), np.exp(logits))
        predicted[part] = votes.argmax(axis=1)
    return accuracies(test_classes, names[predicted])
