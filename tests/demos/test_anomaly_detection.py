import threading
import zipfile
from io import BytesIO

import keras
import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("skimage")
pytest.importorskip("mlxtend")

from PIL import Image

from applications.anomaly_detection import demo_model
from applications.anomaly_detection.demo_corpora import BUILT_IN, NORMAL, DemoCorpus, built_in
from applications.anomaly_detection.demo_model import judge, load_or_train, train
from demos import anomaly_detection_answers as answers
from demos import anomaly_detection_pictures as pictures
from demos import anomaly_detection_training
from demos.anomaly_detection import build
from demos.anomaly_detection_training import Progress, Stops, train_watched
from demos.anomaly_detection_upload import FEWEST, MOST, PATCH, read_test_picture, read_zip
from demos.uploads import UploadError
from tests.demos.pictures import png_header

pytestmark = pytest.mark.once


def upright(count, side=16, seed=0):
    """Pictures that are bright above and dark below, with some noise."""
    ramp = np.linspace(0.9, 0.1, side)[:, None, None]
    noise = np.random.default_rng(seed).normal(0, 0.04, (count, side, side, 1))
    return np.clip(ramp + noise, 0, 1).astype("float32")


def corpus(**changes):
    tests = np.concatenate([upright(4, seed=2), upright(4, seed=3)[:, ::-1]])
    parts = {
        "name": "Ramps",
        "train": upright(24),
        "held_out": upright(10, seed=1),
        "tests": tests,
        "kinds": (NORMAL,) * 4 + ("upside down",) * 4,
    }
    return DemoCorpus(**{**parts, **changes})


@pytest.fixture(scope="module")
def model():
    return train(corpus(), steps=1)


@pytest.fixture(scope="module")
def patched(model):
    """The same detector, on test pictures that are larger than what it was trained on."""
    large = corpus(held_out=upright(3, 32, 1), tests=upright(2, 32, 2), kinds=(NORMAL, "scratch"))
    return demo_model.judged(large, model.detector, model.loss)


@pytest.fixture
def zipped(tmp_path):
    """Writes a zip of `{name: uint8 picture or bytes}`."""

    def write(files):
        path = tmp_path / "pictures.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                if not isinstance(content, bytes):
                    buffer = BytesIO()
                    Image.fromarray(content).save(buffer, format="png")
                    content = buffer.getvalue()
                archive.writestr(name, content)
        return str(path)

    return write


def photos(count, folder="", size=(40, 30)):
    draw = np.random.default_rng(0)
    return {f"{folder}{n:03}.png": draw.integers(0, 255, (*size, 3), "uint8") for n in range(count)}


@pytest.mark.parametrize("name", ["Faces", "Digit 3", "Brick"])
def test_a_built_in_corpus_keeps_its_parts_apart(name):
    given = built_in(name)
    parts = (given.train, given.held_out, given.tests[given.is_normal])
    if not given.in_patches:
        together = np.concatenate(parts).reshape(sum(map(len, parts)), -1)
        assert len(np.unique(together, axis=0)) == len(together)
    assert len(given.kinds) == len(given.tests)
    assert set(given.is_normal) == {True, False}
    assert given.in_patches == (name == "Brick")


def test_there_is_a_corpus_of_every_kind():
    assert {"Faces", "Digit 2", "Gravel"} < set(BUILT_IN)
    with pytest.raises(ValueError, match="name must be one of Faces"):
        built_in("Cats")


def test_a_picture_is_as_odd_as_its_oddest_place():
    pictures_ = np.zeros((1, 32, 32, 1), "float32")
    pictures_[0, 16:, 16:] = 1
    judged = judge(lambda images: 1 - images.mean(axis=(1, 2, 3)), pictures_, (16, 16), stride=16)
    np.testing.assert_allclose(judged.scores, [0], atol=1e-6)
    assert judged.maps[0, 24, 24] == pytest.approx(1)
    assert judged.maps[0, 4, 4] == pytest.approx(0)


def test_the_false_alarm_rate_sets_the_threshold(model):
    at_most = [(model.held_out < model.threshold(rate)).mean() for rate in (0.01, 0.1, 0.3)]
    assert at_most[0] == 0
    assert at_most[1] <= 0.1
    assert 0.1 < at_most[2] <= 0.3


def test_the_effect_counts_false_alarms_and_finds(model):
    low = answers.effect(model, 0.01)
    threshold = model.threshold(0.01)
    odd = int((model.tests.scores[4:] < threshold).sum())
    assert f"{odd} of 4 odd ones are found" in low
    assert "the lowest score of them" in low
    assert "lowest" not in answers.effect(model, 0.2)


def test_the_verdict_compares_with_the_threshold_and_the_truth(model):
    seen = answers.of_test(model, 0)
    assert answers.verdict(seen, seen.score).startswith("**Normal**")
    assert answers.verdict(seen, seen.score).endswith("✓ Right: it is normal.")
    assert "**Odd**" in answers.verdict(seen, seen.score + 0.1)
    odd = answers.of_test(model, 4)
    assert "✗ Wrong: it is odd (upside down)" in answers.verdict(odd, odd.score)
    assert "it is" not in answers.verdict(answers.of_upload(model, model.corpus.tests[0]), 0.5)


def test_a_training_picture_finds_itself(model):
    seen = answers.of_upload(model, model.corpus.train[7])
    assert seen.nearest[0] == 7
    assert seen.score == pytest.approx(1, abs=1e-4)
    assert seen.heat is None


def test_a_large_picture_is_looked_through_in_patches(patched):
    seen = answers.of_upload(patched, patched.corpus.tests[0])
    assert seen.heat.shape == (32, 32)
    assert seen.place.shape == (16, 16, 1)
    assert seen.score == pytest.approx(patched.tests.scores[0], abs=1e-5)


def test_the_oddest_place_stays_inside():
    heat = np.zeros((20, 30))
    heat[19, 0] = 1
    assert pictures.oddest_place(heat, (8, 10)) == (slice(12, 20), slice(0, 10))


def test_heat_shows_above_the_threshold_only():
    picture, heat = np.full((16, 16, 1), 0.5, "float32"), np.full((16, 16), 0.05)
    heat[:8] = 0.4
    drawn = pictures.draw_heat(picture, heat, threshold=0.7, side=64).astype(int)
    assert drawn.shape == (64, 64, 3)
    assert (drawn[60] == 128).all()
    assert (drawn[4, :, 0] - drawn[4, :, 2] > 50).all()


def test_the_histogram_marks_threshold_and_score():
    drawn = pictures.histogram(np.array([0.8, 0.9, 0.9]), 0.8, 0.5)
    assert "threshold 0.800" in drawn
    assert "this picture 0.500" in drawn
    assert drawn.count('class="bar"') == 2
    assert "this picture" not in pictures.histogram(np.array([0.8, 0.8]), 0.8, None)


def test_progress_is_drawn_from_the_first_epoch_on():
    assert "polyline" not in pictures.progress(Progress(3, (2.0,), 1.0), "one")
    assert "polyline" in pictures.progress(Progress(3, (2.0, 2.0), 1.0), "two")
    assert "width:0.0%" in pictures.progress(None, "none")


def test_normal_pictures_are_offered_before_odd_ones(model):
    assert answers.offered(model.corpus, 6) == [0, 1, 2, 4, 5, 6]
    assert answers.offered(corpus(kinds=(NORMAL,) * 8), 6) == [0, 1, 2, 3, 4, 5]


def test_the_line_on_a_detector_is_honest_and_safe(model):
    text = answers.normal(model)
    assert f"{model.auroc:.3f}" in text
    assert f"{model.raw_pixels:.3f}" in text
    remarked = demo_model.judged(
        corpus(kinds=(NORMAL,) * 8, remarks=("<img src=x>.png: damaged",)), model.detector, model.loss
    )
    assert "<img" not in answers.normal(remarked)
    assert "AUROC" not in answers.normal(remarked)
    assert "**" not in answers.plain(text)


def test_training_tells_each_epoch_and_ends_with_a_model():
    *told, last = train_watched(corpus(), threading.Event(), steps=2)
    assert [len(state.loss) for state in told] == [1, 2]
    assert told[-1].loss == pytest.approx(last.loss)
    assert len(last.held_out) == 10


@pytest.fixture
def quick(monkeypatch, model):
    """A training that calls back as ever, but learns nothing."""

    def fit(corpus, steps, callbacks):
        tiny = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        tiny.compile("sgd", "mse")
        tiny.fit(np.zeros((2, 1)), np.zeros((2, 1)), epochs=steps, verbose=0, callbacks=callbacks)
        return model

    monkeypatch.setattr(anomaly_detection_training, "train", fit)


@pytest.mark.usefixtures("quick")
def test_a_stopped_training_gives_no_model():
    stop = threading.Event()
    training = train_watched(corpus(), stop, steps=1000)
    next(training)
    stop.set()
    assert list(training)[-1] is None


@pytest.mark.usefixtures("quick")
def test_time_that_is_up_keeps_what_was_learned():
    told = list(train_watched(corpus(), threading.Event(), steps=1000, seconds=0))
    assert isinstance(told[0], Progress)
    assert len(told) == 2
    assert told[1] is not None


@pytest.mark.usefixtures("quick")
def test_nobody_listening_ends_the_training():
    stop, before = threading.Event(), threading.active_count()
    training = train_watched(corpus(), stop, steps=1000)
    next(training)
    training.close()
    assert stop.is_set()
    assert threading.active_count() == before


def test_an_error_of_the_training_arrives():
    with pytest.raises(ValueError, match="2"):
        list(train_watched(corpus(train=upright(1)), threading.Event(), steps=1))


def test_a_visitor_stops_no_one_else():
    stops = Stops()
    mine, theirs = stops.new("me"), stops.new("you")
    stops.stop("me")
    stops.stop("nobody")
    assert mine.is_set()
    assert not theirs.is_set()


def test_the_first_detector_comes_from_the_cache(tmp_path, monkeypatch, model):
    trained = []
    monkeypatch.setattr(demo_model, "built_in", lambda *_: corpus())
    monkeypatch.setattr(demo_model, "train", lambda *options: trained.append(options) or model)
    load_or_train(steps=1, folder=tmp_path)
    again = load_or_train(steps=1, folder=tmp_path)
    np.testing.assert_allclose(again.tests.scores, model.tests.scores, atol=1e-5)
    assert again.loss == pytest.approx(model.loss)
    assert len(trained) == 1
    load_or_train(steps=9, folder=tmp_path)
    assert len(trained) == 2


def test_a_zip_of_things(zipped):
    given = read_zip(zipped(photos(11, "good/") | {"good/wide.png": np.eye(90, 50, dtype="uint8") * 255}))
    assert given.train.shape == (9, PATCH, PATCH, 3)
    assert given.held_out.shape == (3, PATCH, PATCH, 3)
    assert given.kinds[:3] == (NORMAL,) * 3
    assert all("drawn" in kind for kind in given.kinds[3:])
    assert (given.tests[3:] != given.tests[:3]).any(axis=(1, 2, 3)).all()
    assert given.remarks == ()


def test_a_zip_of_a_surface_is_cut_into_patches(zipped):
    given = read_zip(zipped(photos(10)), surface=True)
    assert given.train.shape[1:] == (PATCH, PATCH, 3)
    assert len(given.train) == 7 * 16
    assert given.tests.shape[1:] == (128, 128, 3)
    assert given.in_patches


def test_a_zip_in_the_layout_of_mvtec_brings_its_own_tests(zipped):
    files = photos(12, "nut/train/good/") | photos(3, "nut/test/good/") | photos(2, "nut/test/crack/")
    given = read_zip(zipped(files))
    assert given.kinds == (NORMAL,) * 3 + ("crack",) * 2


def test_what_cannot_be_read_is_listed_without_the_folder_of_this_machine(zipped):
    plain = np.full((20, 20), 7, "uint8")
    files = photos(12) | {"bad.png": b"no picture", "plain.png": plain, "big.png": png_header(5000, 5000)}
    remarks = "; ".join(read_zip(zipped(files)).remarks)
    assert "bad.png is no picture" in remarks
    assert "plain.png: nothing but one colour" in remarks
    assert "big.png: too many pixels" in remarks
    assert "/" not in remarks


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (photos(FEWEST - 1), "9 normal pictures can be read; at least 10"),
        ({f"{n}.png": b"no" for n in range(3)}, "None of the 3 pictures of the zip file"),
        (dict.fromkeys((f"{n}.png" for n in range(MOST + 1)), b""), "501 pictures; at most 500"),
        ({f"{n}.png": np.full((9, 9), n, "uint8") for n in range(10)}, "nothing but one colour"),
        ({"../out.png": b"x"}, "without '..'"),
        ({"a.txt": b"x"}, "must hold files ending on"),
        (photos(9) | photos(9, "class/"), "^The zip file must hold either pictures or one folder"),
    ],
)
def test_a_zip_that_cannot_be_used_is_explained(zipped, files, words):
    with pytest.raises(UploadError, match=words) as raised:
        read_zip(zipped(files))
    assert "/tmp" not in str(raised.value)


def test_no_zip_and_no_file_are_explained(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(UploadError, match="zip file cannot be read"):
        read_zip(str(tmp_path / "a.zip"))
    with pytest.raises(UploadError, match="choose a zip"):
        read_zip(None)


def test_a_zip_that_unpacks_to_far_more_than_itself_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(20 * 1024**2))
    with pytest.raises(UploadError, match="200 times"):
        read_zip(str(path))


def test_a_test_picture_is_scaled_to_those_of_the_corpus(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 80, 3), "uint8")).save(path)
    picture, remark = read_test_picture(str(path), corpus())
    assert picture.shape == (16, 16, 1)
    assert 0 <= picture.min() < picture.max() <= 1
    assert remark == ""
    Image.new("RGB", (30, 30), "red").save(path)
    assert "one colour" in read_test_picture(str(path), corpus())[1]
    with pytest.raises(UploadError, match="choose a picture"):
        read_test_picture(None, corpus())


def test_the_page_is_built_from_a_model(model, patched):
    for given in (model, patched):
        labels = {block.label for block in build(given).blocks.values() if hasattr(block, "label")}
        assert {"False alarm rate", "Zip of normal pictures", "Test pictures"} <= labels
