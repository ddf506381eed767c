import keras
import numpy as np
import pytest

pytest.importorskip("mlxtend")

from applications.runs import RunFolder
from applications.schemes import SCHEMES, Recipe, digits, read_folder, training
from applications.schemes.batches import ImageBatches, TwoSides
from applications.schemes.corpus import Digits
from applications.schemes.schemes_claim import MARGIN, RANDOM, RANDOM_VIT, SUPERVISED, claims, measures
from applications.schemes.small import encoder_of, make, small_encoder, view


def test_parts_are_fixed_balanced_and_apart():
    parts = digits()
    assert {name: len(part.images) for name, part in parts.items()} == {
        "train": 3000,
        "validation": 1000,
        "test": 1000,
    }
    for part in parts.values():
        assert np.bincount(part.labels).tolist() == [len(part.labels) // 10] * 10
        assert part.images.shape[1:] == (14, 14, 1) and 0 <= part.images.min() < part.images.max() <= 1
    known = {image.tobytes() for image in parts["train"].images}
    assert not known & {image.tobytes() for image in parts["test"].images}


@pytest.mark.once
def test_who_changes_digits_changes_nobody_elses():
    before = digits()["test"].images.copy()
    mine = digits()
    mine["test"].images[:] = 0
    del mine["train"]
    np.testing.assert_array_equal(digits()["test"].images, before)
    assert "train" in digits()


def result(values):
    """A result in which every arm has the probe accuracies of two seeds."""
    random = {RANDOM: [0.7, 0.72], RANDOM_VIT: [0.8, 0.8]}
    return {"arms": {arm: {"probe_accuracy": {"values": v}} for arm, v in {**random, **values}.items()}}


def test_each_scheme_has_a_check_against_its_own_random_encoder():
    (claim,) = claims()
    assert [arm.name for arm in claim.arms] == [*SCHEMES, RANDOM, RANDOM_VIT, SUPERVISED]
    checks = dict(zip(SCHEMES, claim.checks, strict=True))
    assert len(checks) == len(claim.checks) == 14
    assert all(check.kind == "claim" for check in claim.checks)
    simclr, masked = checks["SimCLR"], checks["MaskedAutoencoder"]
    assert simclr.holds(result({"SimCLR": [0.75, 0.75]}))
    assert not simclr.holds(result({"SimCLR": [0.7 + MARGIN, 0.72 + MARGIN / 2]}))
    assert not simclr.holds(result({"SimCLR": [0.85, 0.71]}))  # one seed is below
    assert not masked.holds(result({"MaskedAutoencoder": [0.75, 0.75]}))
    assert masked.holds(result({"MaskedAutoencoder": [0.83, 0.83]}))


@pytest.mark.once
@pytest.mark.parametrize("name", ["SwAV", "MaskedAutoencoder", "DualEncoder", SUPERVISED])
def test_an_arm_runs(name):
    (claim,) = claims()
    (arm,) = [arm for arm in claim.arms if arm.name == name]
    run = arm.run(seed=0, fast=True)
    assert set(run.metrics) == {"probe_accuracy", "knn_accuracy", "effective_rank"}
    assert np.isfinite(run.curves["loss"]).all() and len(run.curves["loss"]) == 1


@pytest.mark.once
def test_baselines_report_the_metrics_of_the_arms():
    (claim,) = claims()
    baselines = claim.baselines(seeds=[0], fast=True)
    assert 0.5 < baselines["raw pixels"]["probe_accuracy"] < 1


@pytest.mark.once
@pytest.mark.parametrize("name", SCHEMES)
def test_every_small_scheme_is_made_with_an_encoder_for_the_digits(name):
    scheme = make(name, steps=10)
    assert tuple(encoder_of(scheme)(np.zeros((2, 14, 14, 1), "float32")).shape) == (2, 64)


def test_batches_and_sides():
    images = np.random.default_rng(0).random((10, 14, 14, 1)).astype("float32")
    batches = ImageBatches(images, np.arange(10), batch_size=4)
    assert len(batches) == 2
    rows = batches[0][1]
    np.testing.assert_array_equal(batches[0][0], images[rows])
    ((first, second),) = TwoSides(images, view(seed=0), batch_size=4)[0]
    assert first.shape == second.shape == (4, 14, 14, 1)
    assert not np.array_equal(first, second)


@pytest.mark.once
def test_simclr_learns_what_tells_digits_apart():
    """A third of the steps of the full training is enough to see it."""
    parts = {name: Digits(part.images[::2], part.labels[::2]) for name, part in digits().items()}
    train, unseen = parts["train"], parts["validation"]
    encoder = small_encoder()
    encoder.build((None, 14, 14, 1))
    before = measures(encoder, train, unseen)["probe_accuracy"]
    recipe = Recipe(epochs=14)
    model = make("SimCLR", recipe.steps(len(train.images)))
    model.compile(recipe.optimizer(len(train.images)))
    model.fit(train.images, batch_size=recipe.batch_size, epochs=recipe.epochs, verbose=0)
    after = measures(model.encoder, train, unseen)["probe_accuracy"]
    assert after > before + 0.03


def save(path, picture):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.mark.once
def test_training_on_a_folder_of_pictures(tmp_path):
    pytest.importorskip("PIL")
    generator = np.random.default_rng(0)
    for number in range(5):
        picture = generator.integers(0, 255, (40, 30, 3), dtype="uint8")
        save(tmp_path / "pictures" / f"kind_{number % 2}" / f"{number}.png", picture)
    (tmp_path / "pictures" / "broken.png").write_text("no picture")
    run = RunFolder(tmp_path / "run")
    model = training.train(run, data=tmp_path / "pictures", seed=0, epochs=1)
    images = read_folder(tmp_path / "pictures", 32)
    assert images.shape == (5, 32, 32, 3)
    encoder = keras.models.load_model(run.path / "encoder.keras")
    np.testing.assert_allclose(
        encoder.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_a_folder_without_pictures_is_refused(tmp_path):
    pytest.importorskip("PIL")
    with pytest.raises(ValueError, match="at least 2 pictures"):
        read_folder(tmp_path, 32)
