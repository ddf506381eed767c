import math

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("mlxtend")
pytest.importorskip("skimage")

from PIL import Image

from applications.face_naming.corpus import DIGIT_NAMES, DigitWorld
from applications.face_naming.formats import NONAME, CaptionedPhoto, NamedPhoto, PhotoBatches
from applications.face_naming.secla import SECLA
from applications.mnist import mnist_digits
from demos import face_naming_answers as answers
from demos import face_naming_pictures as pictures
from demos.face_naming import build
from demos.face_naming_upload import LONGEST_CAPTION, name_upload
from demos.uploads import UploadError

pytestmark = pytest.mark.once


def two_faces(truth=("Two", NONAME)):
    """A photo of two faces whose best names are Two and Two, with scores 3 and 1."""
    photo = CaptionedPhoto(
        faces=np.zeros((2, 28, 28, 1), "float32"),
        names=("Two", "Six"),
        image=np.zeros((64, 128), "uint8"),
        boxes=np.array([[2, 2, 30, 30], [60, 30, 88, 58]]),
        truth=truth,
    )
    scores = np.array([[3.0, 0.0, 1.0], [1.0, -2.0, 0.5]])
    named = NamedPhoto(("Two", "Six", NONAME), scores, ("Two", "Two"), np.array([2.0, 0.5]), ("Six",))
    return photo, named


@pytest.mark.parametrize(
    ("threshold", "names", "noface"),
    [
        (None, ("Two", "Two"), ("Six",)),
        (0.9, ("Two", "Two"), ("Six",)),
        (1.0, ("Two", NONAME), ("Six",)),
        (3.0, (NONAME, NONAME), ("Two", "Six")),
        (math.inf, (NONAME, NONAME), ("Two", "Six")),
    ],
)
def test_a_threshold_rejects_what_is_not_above_it(threshold, names, noface):
    decided = answers.decide(two_faces()[1], threshold)
    assert decided.names == names
    assert decided.noface == noface


def test_lifting_the_threshold_gives_the_names_back():
    _, named = two_faces()
    assert answers.decide(answers.decide(named, 2.0), None).names == named.names


def test_the_slider_reaches_below_and_above_every_best_score():
    _, named = two_faces()
    low, high = answers.threshold_range([named])
    assert low < 1.0 < 3.0 < high
    assert answers.threshold_at(low, (low, high)) is None
    assert answers.threshold_at(high, (low, high)) == math.inf
    assert answers.threshold_at(1.5, (low, high)) == 1.5


def test_rows_tell_name_score_margin_and_whether_it_is_right():
    photo, named = two_faces()
    assert answers.answer_rows(photo, answers.decide(named, None)) == [
        ["1", "Two", "3.00", "2.00", "right"],
        ["2", "Two", "1.00", "0.50", "wrong: a stranger"],
    ]
    rows = answers.answer_rows(photo, answers.decide(named, math.inf))
    assert [row[1] for row in rows] == ["no name", "no name"]
    assert [row[4] for row in rows] == ["wrong: it is Two; Two rejected", "right; Two rejected"]


def test_without_truth_nothing_is_called_right_or_wrong():
    photo, named = two_faces(truth=None)
    text = answers.verdict(photo, named) + answers.answer_table(photo, named)
    assert "2 faces found, 2 named" in text
    assert "right" not in text
    assert "wrong" not in text


def test_the_verdict_lists_names_that_nobody_received():
    photo, named = two_faces()
    assert answers.verdict(photo, named) == "**1 of 2 faces right.** In the caption, given to nobody: Six."
    assert answers.verdict(photo, answers.decide(named, 1.0)).startswith("**2 of 2 faces right.**")


def test_the_effect_counts_named_faces_and_right_ones():
    photo, named = two_faces()
    text = answers.effect([photo], [named], None)
    assert "Of 2 held-out faces, 2 get a name, 50% of them" in text
    assert text.endswith("50%.")
    assert answers.effect([photo], [named], 1.0).endswith("100%.")
    assert "0 get a name." in answers.effect([photo], [named], math.inf)


def test_a_caption_is_split_at_its_names_and_loses_nothing():
    caption = "<b>TWO</b> & six, 2; twofold"
    parts = answers.caption_parts(caption, DIGIT_NAMES)
    assert "".join(text for text, _ in parts) == caption
    assert [part for part in parts if part[1]] == [("TWO", "Two"), ("six", "Six")]
    assert answers.caption_parts("", DIGIT_NAMES) == []


def test_the_terminal_table_counts_what_is_right():
    photo, named = two_faces()
    lines = answers.terminal_table([photo, photo], [named, answers.decide(named, 1.0)]).splitlines()
    assert lines[2].split() == ["Two,", "no", "name", "Two,", "Two", "1", "of", "2"]
    assert lines[3].split() == ["Two,", "no", "name", "Two,", "no", "name", "2", "of", "2"]


def test_boxes_are_drawn_in_the_colour_of_the_name():
    photo, _ = two_faces()
    palette = pictures.colours(DIGIT_NAMES)

    def colours(drawn):
        return set(map(tuple, np.unique(drawn.reshape(-1, 3), axis=0).tolist()))

    def rgb(name):
        return tuple(bytes.fromhex(palette[name][1:]))

    named_picture = pictures.draw_photo(photo, ("Two", "Six"), palette)
    assert named_picture.shape == (380, 760, 3)
    assert {rgb("Two"), rgb("Six")} <= colours(named_picture)
    assert rgb(NONAME) not in colours(named_picture)
    nobody = colours(pictures.draw_photo(photo, (NONAME, NONAME), palette))
    assert rgb(NONAME) in nobody
    assert rgb("Two") not in nobody


def test_a_tall_photo_is_drawn_no_larger_than_a_screen_or_two():
    photo = CaptionedPhoto(
        np.zeros((1, 28, 28, 1), "float32"),
        (),
        image=np.zeros((1280, 64), "uint8"),
        boxes=np.array([[2, 2, 30, 30]]),
    )
    assert pictures.draw_photo(photo, (NONAME,), pictures.colours([])).shape == (1520, 76, 3)


def test_the_heat_map_frames_what_was_chosen():
    photo, named = two_faces()
    palette = pictures.colours(DIGIT_NAMES)
    chosen = pictures.draw_scores(photo, named, palette)
    rejected = pictures.draw_scores(photo, answers.decide(named, math.inf), palette)
    assert chosen.shape == rejected.shape
    assert chosen.shape[2] == 4
    column = pictures.THUMB + pictures.GAP + pictures.CELL  # columns left of it are of the first name
    assert (chosen[:, :column] != rejected[:, :column]).any()
    one = CaptionedPhoto(np.zeros((1, 28, 28, 1), "float32"), ())
    answer = NamedPhoto((NONAME,), np.array([[0.5]]), (NONAME,), np.array([np.inf]), ())
    assert pictures.draw_scores(one, answer, palette).shape[0] < chosen.shape[0]


@pytest.mark.parametrize("dark", [False, True])
def test_curves_of_one_epoch_can_be_drawn(dark):
    history = {"loss": [2.0], "face_accuracy": [0.5], "val_face_accuracy": [0.4]}
    assert (
        pictures.draw_loss(history, dark).size == pictures.draw_accuracy(history, {"chance": 0.3}, dark).size
    )


@pytest.fixture(scope="module")
def model():
    return SECLA.small(PhotoBatches(DigitWorld(0).photos(4, "test")))


@pytest.fixture
def paper(tmp_path):
    """Saves a sheet of white paper with these digits on it."""
    images, labels = mnist_digits()

    def write(digits):
        sheet = np.full((60, 20 + 50 * max(1, len(digits))), 250, "uint8")
        for place, digit in enumerate(digits):
            left = 20 + 50 * place
            sheet[15:43, left : left + 28] -= (images[np.flatnonzero(labels == digit)[3]] * 0.9).astype(
                "uint8"
            )
        Image.fromarray(sheet).save(tmp_path / "paper.png")
        return str(tmp_path / "paper.png")

    return write


def test_an_upload_gets_a_name_of_its_caption_for_each_digit(model, paper):
    caption = "<script>alert(1)</script> Two and Seven"
    photo, named, remark = name_upload(model, paper([2, 7, 9]), caption)
    assert photo.caption == caption
    assert len(photo.boxes) == len(named.names) == 3
    assert named.candidates == ("Two", "Seven", NONAME)
    alone = model.name_faces([photo])[0]
    np.testing.assert_allclose(named.scores, alone.scores, rtol=1e-4, atol=1e-5)
    assert remark == ""


@pytest.mark.parametrize(
    ("caption", "what"), [("", "is empty"), ("  ", "is empty"), ("Eight waits.", "mentions nobody")]
)
def test_without_names_every_face_stays_without_one_and_the_known_names_are_told(model, paper, caption, what):
    _, named, remark = name_upload(model, paper([2, 8]), caption)
    assert named.names == (NONAME, NONAME)
    assert f"The caption {what}" in remark
    assert all(name in remark for name in DIGIT_NAMES)


def test_what_cannot_be_named_is_explained(model, paper):
    with pytest.raises(UploadError, match="choose a photo"):
        name_upload(model, None, "Two")
    with pytest.raises(UploadError, match="No faces were found"):
        name_upload(model, paper([]), "Two")
    with pytest.raises(UploadError, match="More than 12 digits"):
        name_upload(model, paper([3] * 13), "Three")
    with pytest.raises(UploadError, match="501 characters; at most 500"):
        name_upload(model, paper([2]), "x" * (LONGEST_CAPTION + 1))


def test_the_page_wants_all_of_a_model_or_nothing(model):
    with pytest.raises(ValueError, match="must be given together"):
        build(model)
