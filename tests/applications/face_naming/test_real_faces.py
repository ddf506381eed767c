import importlib.util

import numpy as np
import pytest

from applications.environment import MissingPackageError
from applications.face_naming import real_faces
from applications.face_naming.real_faces import THRESHOLD, find_faces

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def astronaut():
    pytest.importorskip("dlib")
    if importlib.util.find_spec("face_recognition_models") is None:
        pytest.skip("face_recognition_models is not installed")
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="module")
def face(astronaut):
    return find_faces(astronaut)


def distance(found, face):
    return float(np.linalg.norm(found.vectors[0] - face.vectors[0]))


def test_the_astronaut_has_one_face(face, astronaut):
    assert [array.dtype for array in face] == [np.float32] * 3
    assert [array.shape for array in face] == [(1, 4), (1, 128), (1,)]
    left, top, right, bottom = face.boxes[0]
    assert left < 225 < right  # between the eyes
    assert top < 110 < bottom
    assert 60 < right - left < 120
    assert face.scores[0] > THRESHOLD


def test_a_low_threshold_finds_what_is_no_face(astronaut):
    found = find_faces(astronaut, threshold=0)
    assert len(found.scores) == 2
    assert (np.diff(found.boxes[:, 0]) >= 0).all()
    assert found.scores.min() < THRESHOLD < found.scores.max()


def test_no_picture_without_people_shows_a_face():
    pytest.importorskip("dlib")
    data = pytest.importorskip("skimage.data")
    for name in ("coffee", "chelsea", "rocket", "coins"):
        assert len(find_faces(getattr(data, name)()).boxes) == 0, name


def test_a_mirrored_and_a_grey_photo_show_the_same_person(face, astronaut):
    mirrored = find_faces(astronaut[:, ::-1])
    grey = find_faces(astronaut.mean(axis=2).astype("uint8"))
    assert distance(mirrored, face) < 0.3
    assert distance(grey, face) < 0.3
    np.testing.assert_allclose(mirrored.boxes[0, [0, 2]], 512 - face.boxes[0, [2, 0]], atol=20)


def test_another_person_is_further_away_than_the_usual_limit(face):
    from PIL import Image

    crop = (pytest.importorskip("skimage.data").lfw_subset()[0] * 255).astype("uint8")
    crop = np.pad(np.asarray(Image.fromarray(crop).resize((150, 150))), 60, mode="edge")
    assert distance(find_faces(crop), face) > 0.6


def test_faces_come_from_left_to_right(astronaut):
    twice = find_faces(np.concatenate([astronaut, astronaut[:, ::-1]], axis=1))
    assert len(twice.boxes) == 2
    assert twice.boxes[0, 2] < 512 < twice.boxes[1, 0]


def test_boxes_of_a_large_photo_are_in_its_own_pixels(face, astronaut):
    from PIL import Image

    large = np.asarray(Image.fromarray(astronaut).resize((512 * 6, 512 * 6)))
    found = find_faces(large)
    np.testing.assert_allclose(found.boxes / 6, face.boxes, atol=15)
    assert distance(found, face) < 0.3


def test_boxes_end_at_the_edges_of_the_photo(astronaut):
    cut = astronaut[85:, 180:]
    found = find_faces(cut)
    assert len(found.boxes) == 1
    assert found.boxes[0, :2].tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(100, 100, 3), (90, 110), (1, 1), (3, 400, 3)])
def test_without_a_face_the_arrays_are_empty(shape):
    pytest.importorskip("dlib")
    found = find_faces(np.full(shape, 128, "uint8"))
    assert [array.shape for array in found] == [(0, 4), (0, 128), (0,)]


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((64, 64, 3)), TypeError, "image must be an array of uint8, 0 to 255, got float64"),
        ("photo.jpg", TypeError, "got str"),
        (np.zeros((64, 64, 4), "uint8"), ValueError, r"got shape \(64, 64, 4\)"),
        (np.zeros((2, 64, 64, 3), "uint8"), ValueError, "image must be"),
        (np.zeros((0, 64, 3), "uint8"), ValueError, "image must be"),
    ],
)
def test_what_is_no_image_is_refused(image, error, message):
    with pytest.raises(error, match=message):
        find_faces(image)


def test_upsample_is_bounded():
    with pytest.raises(ValueError, match="upsample must be 0, 1 or 2, got 9"):
        find_faces(np.zeros((64, 64), "uint8"), upsample=9)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    real_faces._models.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'keras-contrast\[faces\]'"):
        find_faces(np.zeros((64, 64), "uint8"))
