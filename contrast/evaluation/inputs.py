"""Embeddings and labels as arrays, checked, with messages that name the argument."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from contrast.retrieval.matrices import as_array


def feature_matrix(name: str, values: ArrayLike) -> np.ndarray:
    """`values` as float32 `(rows, dim)` without NaN; a ValueError that says what is wrong otherwise."""
    values = np.asarray(as_array(values), "float32")
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"{name} must be (rows, dim), at least one row of at least one entry, got shape {values.shape}."
        )
    broken = int((~np.isfinite(values)).any(axis=1).sum())
    if broken:
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {broken} of {len(values)} rows: look at the data "
            "and at the training of the encoder."
        )
    return values


def class_labels(name: str, values: ArrayLike, rows: int) -> np.ndarray:
    """`values` as array `(rows,)` of ints or strings."""
    values = np.asarray(as_array(values))
    if values.shape != (rows,):
        raise ValueError(f"{name} must be ({rows},), one for each row, got shape {values.shape}.")
    if values.dtype.kind == "f":
        if not np.array_equal(values, np.round(values)):
            raise ValueError(
                f"{name} must be classes, got floats such as {values[values != np.round(values)][0]:g}; for "
                "numbers to predict use ridge_probe."
            )
        values = values.astype("int64")
    if values.dtype.kind not in "biuUSO":
        raise ValueError(f"{name} must be ints or strings, got {values.dtype}.")
    return values


def labelled(part: str, features: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of one part of the data, such as `"train"`."""
    features = feature_matrix(f"{part}_features", features)
    return features, class_labels(f"{part}_labels", labels, len(features))


def train_and_test(
    train_features: ArrayLike, train_labels: ArrayLike, test_features: ArrayLike, test_labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a probe of classes reads: both parts of one width, every test class seen in training."""
    train, classes = labelled("train", train_features, train_labels)
    test, test_classes = labelled("test", test_features, test_labels)
    check_same_width("train_features", train, "test_features", test)
    check_two_classes("train_labels", classes)
    unseen = np.setdiff1d(test_classes, classes)
    if unseen.size:
        names = ", ".join(repr(name) for name in unseen[:3].tolist())
        raise ValueError(
            f"test_labels holds {unseen.size} classes that train_labels does not, such as {names}: no probe "
            "can answer them."
        )
    return train, classes, test, test_classes


def check_same_width(name: str, values: np.ndarray, other_name: str, others: np.ndarray) -> None:
    if values.shape[1] != others.shape[1]:
        raise ValueError(
            f"{name} and {other_name} must have one width, got {values.shape[1]} and {others.shape[1]}."
        )


def check_two_classes(name: str, labels: np.ndarray) -> None:
    if len(np.unique(labels)) < 2:
        raise ValueError(f"{name} must hold at least two classes, got {labels.tolist()[0]!r} alone.")


def positive_int(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a positive int, got {value!r}.")
    return int(value)


def positive_ints(name: str, values: Sequence[int]) -> tuple[int, ...]:
    values = tuple(positive_int(name, value) for value in values)
    if not values:
        raise ValueError(f"{name} must name at least one number, got none.")
    return values
