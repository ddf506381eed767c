"""Checks of images and labels before anything is computed from them."""

import logging

import numpy as np

logger = logging.getLogger("contrast")


def checked_images(images, shape: tuple[int, int, int] | None = None, least: int = 1) -> np.ndarray:
    """`images` as float32 array `(count, height, width, channels)` with values from 0 to 1.

    Args:
        images: array, or a list of arrays `(height, width, channels)` of one size.
        shape: what the height, width and channels must be; `None`: anything.
        least: how many images there must be.

    Raises:
        ValueError: if sizes are mixed, there are too few images, or values are not numbers from 0 to 1.
        TypeError: if values are integers or no numbers.
    """
    if isinstance(images, list | tuple):
        sizes = sorted({np.shape(image) for image in images})
        if len(sizes) > 1:
            raise ValueError(
                f"images must all have one size, got {len(sizes)} sizes, among them {sizes[0]} and "
                f"{sizes[1]}; resize or crop them first."
            )
    images = np.asarray(images)
    if images.dtype.kind in "iub":
        raise TypeError(f"images must be floats from 0 to 1, got {images.dtype}; divide them by 255.")
    if images.dtype.kind != "f":
        raise TypeError(f"images must be floats from 0 to 1, got {images.dtype}.")
    if images.ndim != 4:
        raise ValueError(f"images must be (count, height, width, channels), got shape {images.shape}.")
    if shape is not None and images.shape[1:] != tuple(shape):
        raise ValueError(f"images must be {tuple(shape)} each, as in training, got {images.shape[1:]}.")
    if len(images) < least:
        raise ValueError(f"images must be at least {least}, got {len(images)}.")
    wrong = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
    if len(wrong):
        raise ValueError(f"images must hold numbers, got NaN or infinity in image {wrong[0]}.")
    if images.size and (images.min() < -0.01 or images.max() > 1.01):
        raise ValueError(
            f"images must have values from 0 to 1, got {images.min():.4g} to {images.max():.4g}."
        )
    return images.astype("float32", copy=False)


def checked_labels(labels, count: int) -> np.ndarray | None:
    """`labels` as int32 array `(count,)`, or `None`.

    Raises:
        ValueError: if there is another number of labels, or none is at least 0.
        TypeError: if labels are not integers.
    """
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers, got {labels.dtype}. Number them with "
            "np.unique(labels, return_inverse=True)[1]."
        )
    if labels.shape not in ((count,), (count, 1)):
        raise ValueError(f"labels must have shape ({count},), one an image, got {labels.shape}.")
    labels = labels.reshape(-1).astype("int32")
    if (labels < 0).all():
        raise ValueError("labels must be at least 0 for some images: those below 0 are not normal.")
    return labels


def warn_of_constant_images(images: np.ndarray) -> None:
    """Logs how many images hold one colour only: such an image is its own rotation."""
    flat = images.reshape(len(images), -1, images.shape[-1])
    constant = int((np.ptp(flat, axis=1) == 0).all(axis=1).sum())
    if constant:
        logger.warning(
            "%d of %d images hold nothing but one colour; look whether they belong here.",
            constant,
            len(images),
        )
