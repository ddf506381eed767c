import numpy as np
import pytest

from applications.report_generation.study import PARTS, PriorVisit, Study, View, check_patients, without
from tests.applications.report_generation.tiny import view

pytestmark = pytest.mark.once


def study(*views, **options):
    return Study("1", "a", views, **options)


def test_unknown_positions_have_a_name_of_their_own():
    pixels = np.zeros((4, 4), "uint8")
    assert [View(pixels, name).position for name in ("pa", " LL ", "swimmer", "", None)] == [
        "PA",
        "LL",
        "UNK",
        "UNK",
        "UNK",
    ]


def test_no_later_array_has_the_name_of_an_earlier_one():
    pixels = np.zeros((4, 4), "uint8")
    assert View(pixels).key == View(pixels, "PA").key != View(pixels.copy()).key
    keys = {View(np.zeros((4, 4), "uint8")).key for _ in range(100)}
    assert len(keys) == 100


def test_prior_image_stands_last():
    one = study(view("a"), view("b"), prior=PriorVisit(view("c")))
    assert [image.key for image in one.images] == ["a", "b", "c"]
    assert [image.key for image in study(view("a"), prior=PriorVisit()).images] == ["a"]


@pytest.mark.parametrize(
    ("views", "prior", "words"),
    [
        ((), None, "at least one view"),
        (("a", "a"), None, "'a' twice"),
        (("a", "b"), "a", "'a' twice"),
        (tuple("abcde"), "f", "at most 5 images"),
    ],
)
def test_refused_studies(views, prior, words):
    with pytest.raises(ValueError, match=words):
        study(*map(view, views), prior=PriorVisit(view(prior)) if prior else None)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 3), "uint8"), "height, width"),
        (np.zeros((0, 4), "uint8"), "height, width"),
        (np.full((4, 4), np.nan), "finite"),
        (np.full((4, 4), 2.0), "0, 1"),
        (np.zeros((4, 4), "int32"), "bytes or floats"),
    ],
)
def test_refused_images(image, words):
    with pytest.raises(ValueError, match=words):
        View(image)


def test_parts_withheld():
    full = study(
        view("a"),
        view("b"),
        indication="cough",
        prior=PriorVisit(view("c"), "no effusion.", ("no effusion",)),
    )
    assert len(without(full, ["views"]).views) == 1
    assert without(full, ["prior_image"]).prior == PriorVisit(None, "no effusion.", ("no effusion",))
    assert without(full, ["prior_report"]).prior.facts == ()
    nothing = without(full, PARTS)
    assert len(nothing.images) == 1 and nothing.indication is None and nothing.prior.findings is None
    assert without(full, []) == full
    with pytest.raises(ValueError, match="'image'"):
        without(full, ["image"])


def test_patients_are_in_one_split():
    first, second = study(view("a")), Study("2", "b", (view("b"),))
    check_patients({"train": [first], "test": [second]})
    with pytest.raises(ValueError, match="patient 'a' is in 'train' and in 'test'"):
        check_patients({"train": [first, second], "test": [first]})
