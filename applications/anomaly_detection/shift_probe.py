"""Whether a shift turns normal images into others: asked before a training that takes it for granted."""

import logging

import numpy as np

from applications.anomaly_detection.views import make_shift
from contrast.augmentation.shifts import RotationShift

logger = logging.getLogger("contrast")

VALID = 0.75  # digits and faces give .86 and more, textures .70 and less; chance is .25
_FEWEST, _MOST = 20, 400
_CELLS, _ORIENTATIONS = 4, 8


def shift_probe(images: np.ndarray, shift="rotation", seed: int = 0) -> float:
    """How well a linear classifier tells the transforms of a shift apart on images that it has not seen.

    It reads histograms of gradient orientations in 4 x 4 cells, which know what is up and where parts are. At
    chance (1 / number of transforms) a shifted image is as normal as the image itself: a detector that is
    trained to tell them apart then pushes normal images away.

    A low accuracy speaks against rotation. It does not speak against `CutPerm` alike, whose seams are no
    part of a normal texture, wherever they are.

    Args:
        images: `(count, height, width, channels)`, at least 2; of more than 400, 400 are drawn.
        shift: `"rotation"`, `"cutperm"` or a `contrast.augmentation.Shift`.
        seed: of the draw and of the two folds.

    Returns:
        The accuracy, from 0 to 1, mean of two folds.

    Raises:
        ValueError: if there are fewer than 2 images.

    Example:

    >>> from applications.anomaly_detection import shift_probe
    >>> upright = np.tile(np.linspace(0, 1, 16)[:, None, None] ** 2, (20, 1, 16, 1))
    >>> shift_probe(upright)
    1.0
    >>> shift_probe(np.full((20, 16, 16, 1), 0.5))
    0.25
    """
    import keras
    from sklearn.linear_model import LogisticRegression

    images = np.asarray(images, dtype="float32")
    if len(images) < 2:
        raise ValueError(f"images must be at least 2, got {len(images)}.")
    shift = make_shift(shift)
    order = np.random.default_rng(seed).permutation(len(images))[:_MOST]
    copies = keras.ops.convert_to_numpy(shift(images[order]))
    features = oriented_gradients(copies).reshape(shift.shifts, len(order), -1)
    numbers = np.broadcast_to(np.arange(shift.shifts)[:, None], features.shape[:2])
    half = len(order) // 2
    folds = (slice(None, half), slice(half, None))
    accuracies = []
    for train, test in (folds, folds[::-1]):
        probe = LogisticRegression(C=10, max_iter=300)
        probe.fit(np.concatenate(features[:, train]), numbers[:, train].ravel())
        accuracies.append(probe.score(np.concatenate(features[:, test]), numbers[:, test].ravel()))
    return float(np.mean(accuracies))


def choose_shift(images: np.ndarray) -> str:
    """`"rotation"` if turned images are told from upright ones, else `"cutperm"`; see `shift_probe`."""
    return "rotation" if shift_probe(images) >= VALID else "cutperm"


def oriented_gradients(images: np.ndarray) -> np.ndarray:
    """Histograms of gradient orientations in 4 x 4 cells of each image, `(count, 128)`, of unit length.

    A constant image gives zeros.
    """
    rows, columns = np.gradient(images.mean(axis=-1), axis=(1, 2))
    length = np.hypot(rows, columns)
    angle = (np.arctan2(rows, columns) / (2 * np.pi) * _ORIENTATIONS) % _ORIENTATIONS
    low, share = angle.astype(int) % _ORIENTATIONS, angle % 1
    maps = [
        length * np.where(low == k, 1 - share, np.where((low + 1) % _ORIENTATIONS == k, share, 0))
        for k in range(_ORIENTATIONS)
    ]
    maps = np.stack(maps, axis=-1)
    for axis in (1, 2):
        cells = np.array_split(maps, min(_CELLS, maps.shape[axis]), axis=axis)
        maps = np.stack([cell.mean(axis=axis) for cell in cells], axis=axis)
    features = np.sqrt(maps).reshape(len(images), -1)
    norm = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(norm == 0, 1, norm)


def warn_of_invalid_shift(images: np.ndarray, shift) -> None:
    """Logs a warning if rotation, as it stands, does not change what these images are."""
    if not isinstance(shift, RotationShift) or len(images) < _FEWEST:
        return
    accuracy = shift_probe(images, shift)
    if accuracy < VALID:
        logger.warning(
            "Turned images look like the images themselves: a probe finds the quarter turn in %.0f %% of "
            "the cases (chance %.0f %%, expected above %.0f %%). Rotation makes no outliers of them; use "
            "shift='cutperm' instead.",
            100 * accuracy,
            100 / shift.shifts,
            100 * VALID,
        )
