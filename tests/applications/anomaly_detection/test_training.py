import json

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("mlxtend")

import keras
from PIL import Image

from applications.anomaly_detection import corpus, training
from applications.anomaly_detection.formats import read_category
from applications.anomaly_detection.training import ImageBatches, evaluate, train
from applications.runs import RunFolder

GENERATOR = np.random.default_rng(0)


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((picture * 255).astype("uint8")).save(path)


@pytest.fixture(scope="module")
def category(tmp_path_factory):
    """Bright grids; a defect is a black square."""
    folder = tmp_path_factory.mktemp("grids")

    def grid():
        picture = 0.6 + 0.05 * GENERATOR.random((64, 64))
        picture[::8] = picture[:, ::8] = 0.9
        return picture

    for number in range(5):
        save(folder / "train" / "good" / f"{number}.png", grid())
    for number in range(3):
        save(folder / "test" / "good" / f"{number}.png", grid())
        picture, mask = grid(), np.zeros((64, 64))
        picture[20:44, 30:54], mask[20:44, 30:54] = 0, 1
        save(folder / "test" / "hole" / f"{number}.png", picture)
        save(folder / "ground_truth" / "hole" / f"{number}_mask.png", mask)
    return folder


@pytest.mark.once
def test_the_built_in_images(monkeypatch, tmp_path):
    few = corpus.digits(3, train=40)
    monkeypatch.setattr(training, "digits", lambda inlier, seed: few)
    model = train(RunFolder(tmp_path), seed=1, epochs=1)
    assert len(model.neighbors) == 36
    assert model.threshold is not None
    assert not model.flip
    assert (tmp_path / "history.json").exists()


@pytest.mark.once
def test_a_category_is_learned_by_its_patches(category, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "PICTURE", 64)
    monkeypatch.setattr(training, "PATCHES", 24)
    model = train(RunFolder(tmp_path), data=category, epochs=2)
    assert model.image_shape == (32, 32, 3)
    assert len(model.neighbors) == 24
    scores = json.loads((tmp_path / "evaluation.json").read_text())
    assert scores == pytest.approx(evaluate(model, read_category(category, 64)), abs=1e-6)
    assert set(scores) == {"auroc", "pixel_auroc"}
    assert scores["auroc"] > 0.9
    assert scores["pixel_auroc"] > 0.7


def test_pixels_are_judged_only_where_there_are_masks(category):
    class Hot:
        def heat_map(self, images, stride):
            return 1 - images.min(axis=-1)

    read = read_category(category)
    assert evaluate(Hot(), read) == {"auroc": 1.0, "pixel_auroc": 1.0}
    without = type(read)(read.train, read.test, read.is_normal, None)
    assert evaluate(Hot(), without) == {"auroc": 1.0}


def test_too_few_images(tmp_path):
    for number in range(3):
        save(tmp_path / "data" / f"{number}.png", GENERATOR.random((8, 8, 3)))
    with pytest.raises(ValueError, match="at least 4 normal images, got 3"):
        train(RunFolder(tmp_path / "run"), data=tmp_path / "data")


def test_batches_are_a_function_of_seed_and_epoch():
    images, labels = np.arange(12.0).reshape(6, 1, 2, 1), np.arange(6)
    one, other = (ImageBatches(images, labels, batch_size=4, seed=seed) for seed in (3, 3))
    other.on_epoch_end()
    first = one[0]
    assert isinstance(one, keras.utils.PyDataset)
    assert not np.array_equal(first[1], other[0][1])
    one.on_epoch_end()
    assert np.array_equal(one[0][1], other[0][1])
    assert np.array_equal(one[0][0][:, 0, 0, 0], 2 * one[0][1])
