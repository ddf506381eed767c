"""Faces in real photographs, found and described by dlib's pretrained models; needs the extra `faces`."""

from __future__ import annotations

import functools
import importlib.util
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np

from applications.environment import check_packages

__all__ = ["FACE_WIDTH", "THRESHOLD", "DetectedFaces", "find_faces"]

FACE_WIDTH = 128  # of a face vector

# The detector's wrong faces in scikit-image's pictures score at most 0.12 (the second "face" of `astronaut`;
# its true one has 1.16). 0.3 lies above them with some room, and still finds 87 of the 100 faces of
# `lfw_subset`, which are 25 pixels wide and were enlarged six times; 0 would find 94, and 0.5 would find 82.
THRESHOLD = 0.3

_LONGEST_SIDE = 1280  # pixels of the picture in which faces are looked for
_SHORTEST_SIDE = 20  # no face is found in less, and dlib's pyramid wants some pixels
_CHIP_PADDING = 0.25  # of the crops that the recognition model was trained on
_one_at_a_time = threading.Lock()  # dlib's networks keep their activations


class DetectedFaces(NamedTuple):
    """The faces of a photograph, from left to right.

    Attributes:
        boxes: `(faces, 4)` float32: left, top, right, bottom in pixels of the given image, inside it.
        vectors: `(faces, 128)` float32 descriptions. Two photos of one person are as a rule less than 0.6
            apart (Euclidean); the vectors do not have unit length.
        scores: `(faces,)` float32: how sure the detector is; above the threshold.
    """

    boxes: np.ndarray
    vectors: np.ndarray
    scores: np.ndarray


def find_faces(image: np.ndarray, threshold: float = THRESHOLD, upsample: int = 1) -> DetectedFaces:
    """Finds the faces that look towards the camera, and describes each with 128 numbers.

    The detector is dlib's (histograms of oriented gradients), the description its ResNet for face
    recognition. Profiles, covered and turned faces are often missed. For the search, a picture above 1280
    pixels is made smaller; the descriptions are read from the picture as it was given.

    Args:
        image: `(height, width, 3)` RGB or `(height, width)` grey, uint8.
        threshold: only faces with a larger score are returned; lower finds more faces and more that are none.
        upsample: how often the searched picture is doubled in size. Faces must be about 80 pixels wide, 40 if
            it is doubled once.

    Returns:
        A `DetectedFaces`; without a face, arrays of length 0.

    Raises:
        TypeError: if the image is not an array of uint8.
        ValueError: if it has another shape, or `upsample` is not 0, 1 or 2.
        MissingPackageError: if dlib or its models are not installed.

    Example:

    >>> from applications.face_naming.real_faces import find_faces
    >>> from skimage.data import astronaut
    >>> faces = find_faces(astronaut())
    >>> faces.boxes.shape, faces.vectors.shape
    ((1, 4), (1, 128))

    Reference: [King, "Dlib-ml: A Machine Learning Toolkit", 2009](https://jmlr.org/papers/v10/king09a.html)
    """
    image = _checked_image(image)
    if isinstance(upsample, bool) or upsample not in (0, 1, 2):
        raise ValueError(f"upsample must be 0, 1 or 2, got {upsample!r}.")
    height, width = image.shape[:2]
    if min(height, width) < _SHORTEST_SIDE:
        return _detected([])
    with _one_at_a_time:
        models = _models()
        small, scale = _searched(image)
        rectangles, scores, _ = models.detector.run(small, upsample, float(threshold))
        found = [
            (*_described(models, image, rectangle, scale), score)
            for rectangle, score in zip(rectangles, scores, strict=True)
            if score > threshold
        ]
    return _detected(sorted(found, key=lambda face: tuple(face[0])))


class _Models(NamedTuple):
    detector: object
    landmarks: object
    recognition: object


@functools.lru_cache(maxsize=1)
def _models() -> _Models:
    """dlib's detector and networks, read once."""
    check_packages("dlib", "face_recognition_models")
    import dlib

    # importing the package needs the retired pkg_resources; only its files are wanted
    folder = Path(importlib.util.find_spec("face_recognition_models").origin).parent / "models"
    return _Models(
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat")),
        dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat")),
    )


def _checked_image(image: np.ndarray) -> np.ndarray:
    """The image as contiguous RGB."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        given = f"{image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"image must be an array of uint8, 0 to 255, got {given}.")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or 0 in image.shape:
        raise ValueError(f"image must be (height, width) or (height, width, 3), got shape {image.shape}.")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image)


def _searched(image: np.ndarray) -> tuple[np.ndarray, float]:
    """The picture in which faces are looked for, and how many pixels of the given one make one of its own."""
    height, width = image.shape[:2]
    scale = max(height, width) / _LONGEST_SIDE
    if scale <= 1:
        return image, 1.0
    import dlib

    rows, columns = max(1, round(height / scale)), max(1, round(width / scale))
    step = int(scale)  # average whole blocks first: fine patterns must not alias
    if step > 1:
        cut = image[: height - height % step, : width - width % step]
        blocks = cut.reshape(cut.shape[0] // step, step, cut.shape[1] // step, step, 3)
        image = blocks.mean(axis=(1, 3), dtype="float32").round().astype("uint8")
    return dlib.resize_image(image, rows=rows, cols=columns), scale


def _described(models: _Models, image: np.ndarray, rectangle, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Box inside the image, and vector, of a face found in the smaller picture."""
    import dlib

    ends = (rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1)
    left, top, right, bottom = (round(end * scale) for end in ends)
    shape = models.landmarks(image, dlib.rectangle(left, top, right - 1, bottom - 1))
    vector = models.recognition.compute_face_descriptor(image, shape, 0, _CHIP_PADDING)
    height, width = image.shape[:2]
    box = np.clip([left, top, right, bottom], 0, [width, height, width, height])
    return box, np.asarray(vector)


def _detected(found: list) -> DetectedFaces:
    boxes, vectors, scores = zip(*found, strict=True) if found else ((), (), ())
    return DetectedFaces(
        np.array(boxes, "float32").reshape(-1, 4),
        np.array(vectors, "float32").reshape(-1, FACE_WIDTH),
        np.array(scores, "float32"),
    )
