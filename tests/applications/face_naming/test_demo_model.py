import json
import shutil

import numpy as np
import pytest

pytest.importorskip("mlxtend")

from applications.face_naming import demo_model
from applications.face_naming.demo_model import load_or_train

pytestmark = pytest.mark.once

SMALL = {"photos": 20, "held_out": 6, "epochs": 1}


class TrainedAgainError(Exception):
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    return load_or_train(**SMALL, folder=folder), folder


@pytest.fixture
def no_training(monkeypatch):
    def fit(*_, **__):
        raise TrainedAgainError

    monkeypatch.setattr(demo_model.SECLA, "fit", fit)


@pytest.fixture
def cached(trained, tmp_path):
    """A copy of the cache, and the paths of its weights and its record."""
    folder = tmp_path / "cache"
    shutil.copytree(trained[1], folder)
    return folder, next(folder.glob("*.weights.h5")), next(folder.glob("*.json"))


def test_the_history_holds_the_curves_of_the_page(trained):
    model, _ = trained
    assert set(model.history) == {"loss", "face_accuracy", "val_face_accuracy"}
    assert all(len(values) == 1 and np.isfinite(values).all() for values in model.history.values())


def test_a_second_start_takes_the_same_model_from_the_cache(trained, cached, no_training):
    first = trained[0]
    second = load_or_train(**SMALL, folder=cached[0])
    assert second.history == first.history
    for one, other in zip(
        first.model.name_faces(first.held_out), second.model.name_faces(second.held_out), strict=True
    ):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("option", ["photos", "held_out", "epochs", "seed"])
def test_another_recipe_is_another_model(cached, no_training, option):
    with pytest.raises(TrainedAgainError):
        load_or_train(**{**SMALL, option: 7}, folder=cached[0])


def cut_weights(weights, record):
    weights.write_bytes(weights.read_bytes()[:-100])


def foreign_weights(weights, record):
    weights.write_bytes(b"something else")


def no_weights(weights, record):
    weights.unlink()


def no_record(weights, record):
    record.unlink()


def cut_record(weights, record):
    record.write_text(record.read_text()[:-20])


def record_without_curves(weights, record):
    record.write_text(json.dumps({**json.loads(record.read_text()), "history": {}}))


@pytest.mark.parametrize(
    "damage", [cut_weights, foreign_weights, no_weights, no_record, cut_record, record_without_curves]
)
def test_a_damaged_cache_is_never_used(cached, no_training, damage):
    folder, *paths = cached
    damage(*paths)
    with pytest.raises(TrainedAgainError):
        load_or_train(**SMALL, folder=folder)
