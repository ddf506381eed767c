from collections import Counter
from urllib.error import URLError

import numpy as np
import pytest
from sklearn.utils import Bunch

from applications.face_naming import PhotoBatches
from applications.face_naming.formats import NONAME
from applications.face_naming.sklearn_lfw import PortraitWorld

pytestmark = pytest.mark.once

HEIGHT, WIDTH = 12, 9
# portraits of a person; the second has the most, the last too few
PORTRAITS = (10, 40, 20, 15, 30, 12, 11, 13, 14, 9, 3)


def fetch(data_home=None, min_faces_per_person=0, color=False, largest=1.0):
    """What `sklearn.datasets.fetch_lfw_people` returns; a portrait's grey tells person and number."""
    target = np.repeat(np.arange(len(PORTRAITS)), PORTRAITS)
    number = np.concatenate([np.arange(count) for count in PORTRAITS])
    grey = ((target * 20 + 5) / 255 + number / 25500) * largest
    images = np.broadcast_to(grey[:, None, None], (len(target), HEIGHT, WIDTH)).astype("float32")
    if color:
        images = np.repeat(images[..., None], 3, axis=3)
    names = np.array([f"Person {letter}" for letter in "ABCDEFGHIJK"])
    return Bunch(images=images, data=images.reshape(len(target), -1), target=target, target_names=names)


def world(**options):
    return PortraitWorld(**{"min_faces_per_person": 5, "fetch": fetch, **options})


def person_and_number(face):
    value = float(face[0, 0, 0]) * 255 - 5
    return int(value // 20), round(value % 20 * 100)


def test_faces_are_portraits_of_the_people_they_are_said_to_be():
    people = world()
    assert people.names[:3] == ("Person B", "Person E", "Person C")
    assert "Person K" not in people.names and len(people.names) == 8
    for photo in people.photos(200):
        for face, name in zip(photo.faces, photo.truth, strict=True):
            person = f"Person {'ABCDEFGHIJK'[person_and_number(face)[0]]}"
            assert person == name if name != NONAME else person not in people.names


def test_counts_follow_the_table():
    photos = world().photos(2000)
    pairs = Counter((len(photo.faces), len(photo.names)) for photo in photos)
    assert pairs[1, 1] / 2000 == pytest.approx(0.31, abs=0.04)
    assert pairs[1, 2] / 2000 == pytest.approx(0.28, abs=0.04)
    assert max(faces for faces, _ in pairs) == 3
    names = Counter(name for photo in photos for name in photo.names)
    assert names.most_common(1)[0][0] == "Person B"


def test_splits_share_no_portrait():
    people = world()
    seen = {
        split: {person_and_number(face) for photo in people.photos(600, split) for face in photo.faces}
        for split in ("train", "test")
    }
    assert seen["train"] and seen["test"] and not seen["train"] & seen["test"]
    assert {number % 5 for _, number in seen["test"]} == {4}


def test_photos_follow_the_seed():
    first, again, other = (world(seed=seed).photos(20) for seed in (0, 0, 1))
    assert [photo.truth for photo in first] == [photo.truth for photo in again]
    assert [photo.truth for photo in first] != [photo.truth for photo in other]


@pytest.mark.parametrize("color", [False, True])
def test_pictures_show_the_faces(color):
    photo = max(world(color=color).photos(30), key=lambda photo: len(photo.faces))
    assert photo.image.dtype == np.uint8 and len(photo.faces) > 1
    assert photo.faces.shape[1:] == (HEIGHT, WIDTH, 3 if color else 1)
    for face, (left, top, right, bottom) in zip(photo.faces, photo.boxes.astype(int), strict=True):
        crop = photo.image[top:bottom, left:right]
        assert crop.shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_allclose(crop[..., 0], face[..., 0] * 255, atol=0.51)


def test_versions_that_leave_pixels_up_to_255():
    ours, theirs = world().photos(5), world(largest=255).photos(5)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.faces, other.faces, rtol=1e-5)


def test_batches_take_the_photos():
    photos = world().photos(20)
    item = PhotoBatches(photos, batch_size=20, shuffle=False)[0]
    assert item["faces"].shape == (20, 3, HEIGHT, WIDTH, 1)
    np.testing.assert_array_equal(item["face_mask"].sum(axis=1), [len(photo.faces) for photo in photos])


def test_without_network():
    def offline(**options):
        raise URLError("no route to host")

    with pytest.raises(
        ConnectionError, match=r"default data_home .*no route to host.* network, or give a data_home"
    ):
        world(fetch=offline)
    with pytest.raises(ConnectionError, match="not in data_home='/data'"):
        world(fetch=offline, data_home="/data")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"min_faces_per_person": 16}, "min_faces_per_person=16 leaves 3 people, at least 5"),
        ({"min_faces_per_person": 4}, "min_faces_per_person must be at least 5, got 4"),
        (
            {"fetch": lambda **_: Bunch(images=np.zeros((2, 3)), target=[0], target_names=["A"])},
            r"got \(2, 3\)",
        ),
    ],
)
def test_what_cannot_be_composed(options, says):
    with pytest.raises(ValueError, match=says):
        world(**options)


def test_unknown_split():
    with pytest.raises(ValueError, match='split must be "train" or "test", got \'val\''):
        world().photos(1, "val")
