"""Large images as small ones: cut into patches, scored, and put together as a map."""

from collections.abc import Callable

import numpy as np


def patch_corners(length: int, patch: int, stride: int) -> np.ndarray:
    """Where patches begin along a side: every `stride` pixels, and at the end."""
    if not 1 <= stride <= patch:
        raise ValueError(f"stride must be from 1 to the patch size {patch}, got {stride}.")
    if length < patch:
        raise ValueError(f"images must be at least {patch} pixels a side, got {length}.")
    return np.unique([*range(0, length - patch + 1, stride), length - patch])


def cut_patches(images: np.ndarray, patch: int | tuple[int, int] = 32, stride: int = 16) -> np.ndarray:
    """All patches of images, to train a detector on parts of larger pictures.

    Args:
        images: `(count, height, width, channels)`.
        patch: height and width of a patch.
        stride: pixels from one patch to the next, at most the smaller side of the patch. The last patch of a
            row or column ends with the image.

    Returns:
        `(count * patches, *patch, channels)`: image by image, row by row.

    Raises:
        ValueError: if an image is smaller than a patch, or `stride` is out of its range.

    Example:

    >>> from applications.anomaly_detection import cut_patches
    >>> cut_patches(np.zeros((2, 64, 48, 3), "float32"), 32, 16).shape
    (12, 32, 32, 3)
    """
    height, width = (patch, patch) if isinstance(patch, int) else patch
    corners = [
        patch_corners(length, side, stride)
        for length, side in zip(images.shape[1:3], (height, width), strict=True)
    ]
    patches = [
        images[:, top : top + height, left : left + width] for top in corners[0] for left in corners[1]
    ]
    return np.stack(patches, axis=1).reshape(-1, height, width, images.shape[-1])


def heat_maps(
    score: Callable[[np.ndarray], np.ndarray], images: np.ndarray, patch: tuple[int, int], stride: int
) -> np.ndarray:
    """Where images are odd: 1 minus the scores of their patches, spread over the pixels.

    Args:
        score: from patches `(count, *patch, channels)` to scores `(count,)`, higher for more normal.
        images: `(count, height, width, channels)`, each side at least that of a patch.
        patch: height and width of a patch.
        stride: as for `cut_patches`.

    Returns:
        float32 maps `(count, height, width)`.
    """
    scores = score(cut_patches(images, patch, stride)).reshape(len(images), -1)
    return spread_patches(1 - scores, images.shape[1:3], patch, stride)


def spread_patches(
    values: np.ndarray, size: tuple[int, int], patch: tuple[int, int], stride: int
) -> np.ndarray:
    """For each pixel the mean of the values of the patches that cover it, those around it counting most.

    A patch's value counts at a pixel as a Gaussian of its distance from the patch's centre does, of a
    standard deviation of a fourth of the patch.

    Args:
        values: `(count, patches)`, in the order of `cut_patches`.
        size: height and width of the maps.
        patch: height and width of a patch.
        stride: as it was for `cut_patches`.

    Returns:
        float32 maps `(count, *size)`.
    """
    corners = [patch_corners(length, side, stride) for length, side in zip(size, patch, strict=True)]
    weights = []
    for side in patch:
        distance = (np.arange(side) - (side - 1) / 2) / (side / 4)
        weights.append(np.exp(-0.5 * distance**2))
    weight = np.outer(*weights)
    total, norm = np.zeros((len(values), *size)), np.zeros(size)
    places = [(top, left) for top in corners[0] for left in corners[1]]
    for value, (top, left) in zip(values.T, places, strict=True):
        window = slice(top, top + patch[0]), slice(left, left + patch[1])
        total[(slice(None), *window)] += value[:, None, None] * weight
        norm[window] += weight
    return (total / norm).astype("float32")
