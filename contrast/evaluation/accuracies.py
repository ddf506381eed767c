import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score, recall_score


def accuracies(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """The share of right answers, over all rows and as mean over the classes of `truth`."""
    recall = recall_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0)
    return {"accuracy": float(accuracy_score(truth, predicted)), "balanced_accuracy": float(recall)}
