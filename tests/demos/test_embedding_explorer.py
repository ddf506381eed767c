import functools

import keras
import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("mlxtend")

from PIL import Image

from contrast.retrieval import NearestNeighbors
from demos import embedding_explorer_answers as answers
from demos import embedding_explorer_model as explorer_model
from demos import embedding_explorer_pictures as pictures
from demos.embedding_explorer import build, compared, explored, first_place, looked_up
from demos.embedding_explorer_model import (
    MAPS,
    SCORES,
    SPACES,
    Digits,
    Explorer,
    Recipe,
    Space,
    digits,
    load_or_train,
)
from demos.embedding_explorer_upload import MOST, as_digit, read_digits
from demos.uploads import UploadError

pytestmark = pytest.mark.once


@functools.cache  # reading the digits takes seconds
def parts():
    return digits(shown=4)


def explorer(shown):
    """What the page shows, without a training: spaces of the middle, of the upper half, and of all pixels."""
    inputs = keras.Input((28, 28, 1))
    flat = keras.layers.Flatten()
    encoders = keras.Model(inputs, [flat(inputs[:, 8:20, 8:20]), flat(inputs[:, :14])])
    maps = dict.fromkeys(MAPS, np.random.default_rng(0).random((len(shown.labels), 2)))
    spaces = {
        name: Space(embeddings, NearestNeighbors(embeddings), maps, dict.fromkeys(SCORES, 0.5))
        for name, embeddings in explorer_model.embed(encoders, shown.shown).items()
    }
    return Explorer(shown, encoders, spaces, (1.0,))


@pytest.fixture(scope="module")
def tiny():
    return explorer(parts())


@pytest.fixture
def saved(tmp_path):
    def save(array, name="digit.png"):
        path = tmp_path / name
        Image.fromarray(array).save(path)
        return str(path)

    return save


def test_held_out_digits_are_of_every_class_and_not_trained_on():
    assert np.bincount(parts().labels).tolist() == [4] * 10
    assert len(parts().train) + len(parts().shown) == 5000
    together = np.concatenate([parts().train, parts().shown]).reshape(5000, -1)
    assert len(np.unique(together, axis=0)) == 5000
    other = digits(shown=4, seed=1)
    assert not np.array_equal(other.shown, parts().shown)


def test_neighbours_are_the_nearest_without_the_digit_itself(tiny):
    flat = parts().shown.reshape(40, -1).astype("float64")
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    found = answers.neighbours(tiny, "raw pixels", 7, 5)
    distances = 1 - flat @ flat[7]
    distances[7] = np.inf
    np.testing.assert_array_equal(found.places, np.argsort(distances)[:5])
    np.testing.assert_allclose(found.distances, np.sort(distances)[:5], atol=1e-5)


def test_equal_pictures_do_not_hide_each_other():
    twice = [0, 0, 5, 9]
    given = parts()
    made = explorer(Digits(given.train, given.train_labels, given.shown[twice], given.labels[twice]))
    for place, other in ((0, 1), (1, 0)):
        found = answers.neighbours(made, "raw pixels", place, 2)
        assert found.places[0] == other and place not in found.places
        assert found.distances[0] == pytest.approx(0, abs=1e-6)


def test_agreement_counts_neighbours_of_the_same_class(tiny):
    shares = answers.agreement(tiny, "raw pixels", 3)
    place = int(np.argmin(shares))
    found = answers.neighbours(tiny, "raw pixels", place, 3)
    assert shares[place] == (parts().labels[found.places] == parts().labels[place]).mean()
    assert first_place(tiny) == int(np.argmin(answers.agreement(tiny, "SimCLR", 10)))


def test_the_sentence_counts_and_names_the_others(tiny):
    labels = parts().labels
    threes, fives = np.flatnonzero(labels == 3), np.flatnonzero(labels == 5)
    for places, said in (
        (fives[1:], "all of its 3 nearest are, too."),
        (threes[:1], "its nearest is a 3."),
        (np.r_[fives[1], threes[:2]], "of its 3 nearest 1 is a 5, 2 are a 3."),
        (np.r_[threes[:2], 0], "of its 3 nearest none is a 5, 2 are a 3, 1 is a 0."),
    ):
        found = answers.Found(places, np.zeros(len(places)))
        told = answers.sentence(tiny, "raw pixels", fives[0], found)
        assert told == f"<b>This is a 5</b>: in the space of raw pixels, {said}"


def test_a_map_marks_the_digit_and_its_neighbours(tiny):
    found = answers.neighbours(tiny, "SimCLR", 3, 4)
    drawn = pictures.draw_map(tiny, "SimCLR", "PCA", None, 3, found)
    assert drawn.count("<text") == 40 and drawn.count("<line") == 4 and drawn.count(" near") == 4
    x, y = (30 + 940 * tiny.spaces["SimCLR"].maps["PCA"][3]).round().astype(int)
    assert f'<circle cx="{x}" cy="{y}"' in drawn
    assert drawn.count('class="c7') == 4
    shaded = pictures.draw_map(tiny, "SimCLR", "PCA", np.linspace(0, 1, 40), 3, found)
    assert [shaded.count(f'class="a{step}') for step in range(5)] == [8, 8, 8, 8, 8]


def test_the_tabs_show_what_the_settings_say(tiny):
    drawn, legend, digit, strip = explored(tiny, 2, "raw pixels", "t-SNE", "digit", 6)
    assert "space of raw pixels" in drawn and "space of raw pixels" in digit
    assert strip.count("<button") == 6 and digit.count("<img") == 1 and "c9" in legend
    assert "all agree" in explored(tiny, 2, "SimCLR", "PCA", "neighbours agree", 6)[1]
    digit, *maps = compared(tiny, 2, "PCA", "neighbours agree", 6)
    assert digit.count("<img") == 1
    assert [space in maps[2 * number] for number, space in enumerate(SPACES)] == [True] * 3
    assert answers.comparison(tiny)[1] == ["random encoder", "50.0%", "50.0%"]
    assert "nearest neighbours" in answers.plain(tiny)
    assert "| raw pixels | 50.0% | 50.0% |" in answers.table(tiny)


@pytest.mark.parametrize("value", [-1, 40, 1.5, "3", None, True, [3]])
def test_only_places_that_exist_are_taken_from_a_browser(tiny, value):
    assert answers.checked_place(tiny, value) is None
    assert answers.checked_place(tiny, 39) == 39


def test_a_picture_is_made_like_the_digits_of_the_collection(tiny, saved):
    """A digit, enlarged, dark on grey paper, off the centre, is found again; so is its negative."""
    image = (parts().shown[6, ..., 0] * 200).astype("uint8")
    large = np.full((300, 400), 220, "uint8")
    large[20:160, 30:170] -= np.kron(image, np.ones((5, 5), "uint8"))
    for name, picture in (("dark.png", large), ("light.png", 255 - large)):
        read = read_digits([saved(picture, name)])
        assert read.shape == (1, 28, 28, 1) and read.dtype == np.float32 and 0 <= read.min() < read.max() <= 1
        found = answers.nearest_of_own(tiny, "raw pixels", read, 1)[0]
        assert found.places[0] == 6 and found.distances[0] < 0.15


def test_what_is_shown_of_own_pictures(tiny, saved):
    paths = [saved((255 * parts().shown[place, ..., 0]).astype("uint8"), f"{place}.png") for place in (0, 20)]
    shown = looked_up(tiny, paths, "raw pixels")
    assert shown.count('class="own"') == 2 and shown.count("<button") == 16
    assert "Most like a" in shown
    far = answers.Found(np.array([0, 1]), np.array([1.5, 1.6]))
    assert "it may be no digit" in answers.own_sentence(tiny, "SimCLR", far)
    assert "no digit" not in answers.own_sentence(
        tiny, "SimCLR", answers.Found(far.places, far.distances - 1.5)
    )


def test_pictures_that_cannot_be_used_are_explained(saved, tmp_path):
    plain = saved(np.full((30, 30), 9, "uint8"))
    (tmp_path / "no.png").write_bytes(b"<script>")
    for paths, says in (
        (None, "choose a picture"),
        ([], "choose a picture"),
        ([plain] * (MOST + 1), f"chose {MOST + 1} pictures; at most {MOST}"),
        ([plain], "Picture 1: it shows nothing but one colour"),
        ([str(tmp_path / "no.png")], "Picture 1: The file is not a picture"),
    ):
        with pytest.raises(UploadError, match=says):
            read_digits(paths)
    with pytest.raises(UploadError, match="one colour"):
        as_digit(np.zeros((20, 20, 3), "uint8"))


def test_maps_lie_inside_and_keep_their_shape():
    features = np.random.default_rng(0).normal(size=(20, 6)) * [9, 1, 1, 1, 1, 1]
    for places in explorer_model.draw_maps(features).values():
        assert places.shape == (20, 2) and places.min() >= 0 and places.max() <= 1
    flat = explorer_model._from_0_to_1(np.array([[0.0, 0.0], [4.0, 1.0]]))
    np.testing.assert_allclose(flat, [[0, 0.375], [1, 0.625]])


def test_everything_comes_from_the_cache(tmp_path, monkeypatch):
    six = digits(shown=6)
    few = Digits(six.shown, six.labels, six.shown, six.labels)
    monkeypatch.setattr(explorer_model, "digits", lambda *_: few)
    trainings = []
    real = explorer_model.SimCLR.fit
    monkeypatch.setattr(
        explorer_model.SimCLR, "fit", lambda *given, **options: trainings.append(1) or real(*given, **options)
    )
    recipe = Recipe(filters=(4, 8), projector=(8, 4), batch_size=20, epochs=1)
    first = load_or_train(recipe, folder=tmp_path)
    again = load_or_train(recipe, folder=tmp_path)
    assert len(trainings) == 1
    for space in SPACES:
        np.testing.assert_allclose(again.spaces[space].embeddings, first.spaces[space].embeddings, atol=1e-5)
        assert again.spaces[space].scores == first.spaces[space].scores
        for kind in MAPS:
            np.testing.assert_array_equal(again.spaces[space].maps[kind], first.spaces[space].maps[kind])
    assert again.loss == first.loss and len(first.loss) == 1
    assert not np.allclose(first.spaces["SimCLR"].embeddings, first.spaces["random encoder"].embeddings)


def test_the_page_is_built(tiny):
    page = build(tiny)
    labels = {block.label for block in page.blocks.values() if hasattr(block, "label")}
    assert {"Encoder", "Map", "Colour", "Nearest neighbours", f"Pictures of digits, at most {MOST}"} <= labels
