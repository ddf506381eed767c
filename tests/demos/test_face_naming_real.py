import copy

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("skimage")

import gradio
from PIL import Image

from applications.environment import MissingPackageError
from applications.face_naming.formats import NONAME
from demos import face_naming_real as real
from demos.face_naming_known import LIMIT, MOST_STORED, KnownFaces, read_names
from demos.uploads import UploadError

pytestmark = pytest.mark.once


def person(place, away=0.0):
    """A face vector of a person, and some distance away from it."""
    vector = np.zeros(128, "float32")
    vector[place] = 1.4
    vector[100] = away
    return vector


@pytest.fixture
def known():
    """Ann and Bob have one stored face each."""
    faces = KnownFaces()
    for place, name in enumerate(("Ann", "Bob")):
        faces.name(person(place)[None], [name])
    return faces


def names_of(named):
    return [face.name for face in named]


def test_one_face_and_one_name_teach_each_other():
    faces = KnownFaces()
    named, stored = faces.name(person(0)[None], ["Ann"])
    assert (names_of(named), stored, named[0].distance) == (["Ann"], True, None)
    assert faces.counts() == {"Ann": 1}
    named, stored = faces.name(person(0, 0.3)[None], ["Ann"])
    assert stored
    assert named[0].distance == pytest.approx(0.3)
    assert faces.counts() == {"Ann": 2}


def test_the_same_photo_twice_teaches_once(known):
    named, stored = known.name(person(0)[None], ["Ann"])
    assert (names_of(named), stored) == (["Ann"], False)
    assert known.counts() == {"Ann": 1, "Bob": 1}


def test_an_only_face_that_differs_from_the_stored_ones_is_not_believed(known):
    named, stored = known.name(person(5)[None], ["Ann"])
    assert (names_of(named), stored) == ([NONAME], False)
    assert named[0].distance > LIMIT
    assert known.counts() == {"Ann": 1, "Bob": 1}


def test_faces_of_a_group_get_the_names_of_stored_faces(known):
    group = np.stack([person(1, 0.2), person(7), person(0, 0.5)])
    named, stored = known.name(group, ["Ann", "Cleo", "Bob"])
    assert names_of(named) == ["Bob", NONAME, "Ann"]
    assert not stored
    assert [round(face.distance, 1) for face in named] == [0.2, 2.0, 0.5]
    assert known.counts() == {"Ann": 1, "Bob": 1}


def test_only_names_of_the_caption_are_given(known):
    named, _ = known.name(np.stack([person(0), person(1)]), ["Bob"])
    assert names_of(named) == [NONAME, "Bob"]


def test_a_name_goes_to_the_nearer_of_two_faces(known):
    named, _ = known.name(np.stack([person(0, 0.4), person(0, 0.1)]), ["Ann"])
    assert names_of(named) == [NONAME, "Ann"]
    assert "another face" in named[0].reason


@pytest.mark.parametrize(("away", "name"), [(0.59, "Ann"), (0.61, NONAME)])
def test_the_limit_is_a_distance_of_six_tenths(known, away, name):
    assert names_of(known.name(person(0, away)[None], ["Ann", "Bob"])[0]) == [name]


@pytest.mark.parametrize("names", [[], ["Cleo"], ["Cleo", "Dan"]])
def test_without_stored_faces_a_group_stays_without_names(known, names):
    named, stored = known.name(np.stack([person(0), person(1)]), names)
    assert (names_of(named), stored) == ([NONAME, NONAME], False)
    assert named[0].distance is None


def test_the_forgotten_are_recognised_no_more(known):
    other_visit = copy.deepcopy(known)
    known.forget("Ann")
    known.forget("nobody")
    assert known.counts() == {"Bob": 1}
    assert names_of(known.name(np.stack([person(0), person(1)]), ["Ann", "Bob"])[0]) == [NONAME, "Bob"]
    assert other_visit.counts() == {"Ann": 1, "Bob": 1}


def test_the_bank_is_bounded(known):
    known.bank.add("Ann", np.random.default_rng(0).normal(size=(MOST_STORED - 2, 128)))
    with pytest.raises(UploadError, match="200 faces are stored; forget somebody"):
        known.name(person(9)[None], ["Cleo"])


def test_names_are_separated_by_semicolons_and_lines():
    assert read_names(" Ann  Miller ;Bob\nAnn Miller;; ") == ("Ann Miller", "Bob")
    assert read_names(None) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [("; ".join("abcdefghijklmnopqrstu"), "21 names"), ("x" * 61, "60 characters"), (NONAME, "stands for")],
)
def test_names_that_cannot_be_read_are_explained(text, message):
    with pytest.raises(UploadError, match=message):
        read_names(text)


def test_the_table_shows_names_as_text(known):
    named, _ = known.name(person(0)[None], ["Ann"])
    table = real.answer_table([named[0]._replace(name="<b>|*A")])
    assert "| 1 | **&#60;b&#62;&#124;&#42;A** | 0.00 |" in table


@pytest.fixture
def saved(tmp_path):
    def write(image):
        Image.fromarray(image).save(tmp_path / "photo.png")
        return str(tmp_path / "photo.png")

    return write


def test_an_upload_without_faces_or_with_too_many_is_explained(saved, monkeypatch):
    pytest.importorskip("dlib")
    with pytest.raises(UploadError, match="choose a photo"):
        real.look_at(None)
    with pytest.raises(UploadError, match="No faces were found"):
        real.look_at(saved(np.full((90, 90, 3), 200, "uint8")))
    thirteen = real.DetectedFaces(np.zeros((13, 4)), np.zeros((13, 128)), np.zeros(13))
    monkeypatch.setattr(real, "find_faces", lambda image: thirteen)
    with pytest.raises(UploadError, match="13 faces were found, but at most 12"):
        real.look_at(saved(np.full((90, 90, 3), 200, "uint8")))


def test_an_upload_of_the_astronaut_has_one_face(saved):
    pytest.importorskip("dlib")
    from skimage.data import astronaut

    image, faces = real.look_at(saved(astronaut()))
    assert image.shape == (512, 512, 3)
    assert faces.vectors.shape == (1, 128)


def test_without_dlib_the_tab_tells_how_to_install_it(monkeypatch):
    def missing(*names):
        raise MissingPackageError("The package dlib is not installed: pip install 'keras-contrast[faces]'")

    monkeypatch.setattr(real, "check_packages", missing)
    with gradio.Blocks() as page:
        real.real_photos()
    texts = [block.value for block in page.blocks.values() if isinstance(block, gradio.Markdown)]
    assert any("pip install 'keras-contrast[faces]'" in text for text in texts)
    assert not any(isinstance(block, gradio.Button) for block in page.blocks.values())
