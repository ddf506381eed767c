"""What a user does with a trained detector, on one that is trained for a moment."""

import logging

import keras
import numpy as np
import pytest

from applications.anomaly_detection import Stage, Strength, UniConHA
from contrast.encoders import ConvNet
from tests.case import assert_close

RNG = np.random.default_rng(0)
RAMP = np.linspace(0, 1, 8, dtype="float32")[:, None, None] ** 2


def pictures(count, upside_down=False):
    images = np.clip(RAMP + 0.1 * RNG.normal(size=(count, 8, 8, 1)), 0, 1).astype("float32")
    return images[:, ::-1].copy() if upside_down else images


NORMAL, HELD_OUT, ODD = pictures(24), pictures(40), pictures(10, upside_down=True)
STAGES = (Stage(1, Strength.small(0.6), head=(8,)), Stage(2, Strength.small(0.4), head=(8, 4)))


def untrained(**options):
    return UniConHA(ConvNet((4, 6)), **{"stages": STAGES, **options})


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    model = untrained()
    model.compile(keras.optimizers.SGD(0.01))
    model.fit(NORMAL, batch_size=12, epochs=1, verbose=0)
    return model


def test_scores_explanations_and_features_agree(detector):
    scores = detector.score(ODD)
    features, bank = detector.features(ODD), detector.features(NORMAL)
    assert scores.dtype == "float32" and scores.shape == (10,)
    assert_close(np.linalg.norm(features, axis=1), np.ones(10))
    assert_close(scores, (features @ bank.T).max(1))
    nearest = detector.explain(ODD, 3)
    assert_close(nearest.similarities[:, 0], scores)
    assert_close(nearest.similarities, np.take_along_axis(features @ bank.T, nearest.ids, axis=1))
    assert (np.diff(nearest.similarities) <= 0).all()
    assert_close(detector.predict(ODD, verbose=0), features)  # as Keras means it: the forward pass
    assert_close(detector.score(ODD, batch_size=4), scores, 1e-4)
    assert detector.explain(NORMAL[5:7], 1).ids[:, 0].tolist() == [5, 6]


def test_threshold_keeps_the_false_alarms(detector, caplog):
    with caplog.at_level(logging.WARNING, "contrast"):
        threshold = detector.calibrate(HELD_OUT, false_alarm_rate=0.1)
    assert not caplog.messages
    assert threshold == detector.threshold
    normal = detector.is_normal(HELD_OUT)
    assert normal.dtype == bool
    assert (~normal).sum() <= 4
    assert (detector.score(HELD_OUT) < threshold).sum() == (~normal).sum() >= 1


def test_calibration_on_training_images_warns(detector, caplog):
    with caplog.at_level(logging.WARNING, "contrast"):
        detector.calibrate(np.concatenate([NORMAL[:20], HELD_OUT[:20]]))
    assert "20 of the 40 images are among those" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "contrast"):
        detector.calibrate(HELD_OUT[:5])
    assert "5 images are few" in caplog.text


def test_heat_map_is_hot_at_the_odd_place(detector):
    wide = np.concatenate([*NORMAL[:3], ODD[0], *NORMAL[3:5]], axis=1)[None]
    heat = detector.heat_map(wide, stride=8)
    assert heat.shape == (1, 8, 48)
    scores = detector.score(np.concatenate([NORMAL[:3], ODD[:1], NORMAL[3:5]]))
    assert_close(heat[0, 4, 4::8], 1 - scores, 1e-4)
    assert detector.heat_map(wide, stride=3).shape == (1, 8, 48)
    with pytest.raises(ValueError, match="at least 8 pixels a side, got 4"):
        detector.heat_map(wide[:, :4])


def test_what_is_learned_is_saved(detector, tmp_path):
    detector.calibrate(HELD_OUT)
    detector.save(tmp_path / "detector.keras")
    loaded = keras.saving.load_model(tmp_path / "detector.keras")
    assert loaded.threshold == detector.threshold
    assert_close(loaded.score(ODD), detector.score(ODD), 1e-6)
    np.testing.assert_array_equal(loaded.explain(ODD).ids, detector.explain(ODD).ids)
    assert loaded.stages == detector.stages
    again = untrained()
    again.build(NORMAL.shape)
    detector.save_weights(tmp_path / "some.weights.h5")
    again.load_weights(tmp_path / "some.weights.h5")
    assert_close(again.score(ODD), detector.score(ODD), 1e-6)


def test_new_normal_images_void_the_threshold():
    model = untrained()
    model.build(NORMAL.shape)
    model.remember(NORMAL)
    model.threshold = 0.5
    model.remember(HELD_OUT, labels=np.r_[np.zeros(30, "int32"), np.full(10, -1)])
    assert model.threshold is None
    assert len(model.neighbors) == 30
    model.threshold = 0.25
    model.threshold = None
    assert model.threshold is None


def test_normal_images_of_another_size_are_refused():
    """An encoder with a mean over places takes any size; its features would be compared all the same."""
    model = untrained()
    model.build(NORMAL.shape)
    with pytest.raises(ValueError, match="as in training"):
        model.remember(np.zeros((4, 12, 12, 1), "float32"))


def test_test_copies_average_the_features_of_fixed_crops():
    one, many = untrained(), untrained(test_copies=4)
    for model in (one, many):
        model.build(NORMAL.shape)
    many.set_weights(one.get_weights())
    plain, averaged = one.features(ODD), many.features(ODD)
    assert np.abs(plain - averaged).max() > 1e-3
    assert_close(np.linalg.norm(averaged, axis=1), np.ones(10))
    assert_close(many.features(ODD[3:4]), averaged[3:4], 1e-4)


def test_asking_before_fit_is_an_error_that_says_so(detector):
    model = untrained()
    for ask in (model.score, model.explain, model.heat_map, model.calibrate):
        with pytest.raises(ValueError, match=r"call fit\(images\) first"):
            ask(ODD)
    with pytest.raises(ValueError, match=r"call calibrate\(normal_images\) first"):
        model.is_normal(ODD)
    with pytest.raises(ValueError, match="between 0 and 1, got 1.5"):
        detector.calibrate(ODD, 1.5)


def with_nan():
    images = NORMAL.copy()
    images[3, 0, 0] = np.nan
    return images


@pytest.mark.parametrize(
    ("images", "error", "says"),
    [
        (NORMAL[:1], ValueError, "at least 2, got 1"),
        (NORMAL[:0], ValueError, "at least 2, got 0"),
        ([NORMAL[0], NORMAL[0, :6]], ValueError, "one size, got 2 sizes"),
        ((NORMAL * 255).astype("uint8"), TypeError, "divide them by 255"),
        (NORMAL * 255, ValueError, "values from 0 to 1"),
        (NORMAL[0], ValueError, "count, height, width, channels"),
        (with_nan(), ValueError, "NaN or infinity in image 3"),
        (NORMAL.astype(str), TypeError, "floats from 0 to 1"),
        (NORMAL[:, :6], ValueError, "square"),
    ],
)
def test_bad_images(images, error, says):
    model = untrained()
    model.compile(keras.optimizers.SGD(0.01))
    with pytest.raises(error, match=says):
        model.fit(images, verbose=0)


def test_images_of_another_size(detector):
    with pytest.raises(ValueError, match=r"must be \(8, 8, 1\) each, as in training, got \(6, 6, 1\)"):
        detector.score(NORMAL[:, :6, :6])


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        (["a"] * 24, TypeError, "np.unique"),
        (np.zeros(24), TypeError, "integers, got float64"),
        (np.zeros(5, int), ValueError, r"shape \(24,\), one an image"),
        (np.full(24, -1), ValueError, "at least 0 for some"),
    ],
)
def test_bad_labels(detector, labels, error, says):
    with pytest.raises(error, match=says):
        detector.fit(NORMAL, labels, verbose=0)


def test_sample_weights_are_refused(detector):
    with pytest.raises(ValueError, match="sample_weight is not supported"):
        detector.compute_loss(NORMAL, None, None, sample_weight=np.ones(24))


def test_a_constant_image_is_mentioned_and_scored(caplog):
    images = np.concatenate([NORMAL[:3], np.full((1, 8, 8, 1), 0.5, "float32")])
    model = untrained()
    model.compile(keras.optimizers.SGD(0.01))
    with caplog.at_level(logging.WARNING, "contrast"):
        model.fit(images, epochs=0, verbose=0)
    assert "1 of 4 images hold nothing but one colour" in caplog.text
    assert np.isfinite(model.score(np.zeros((2, 8, 8, 1), "float32"))).all()


def test_a_shift_that_does_not_fit_is_warned_of(caplog):
    model = untrained()
    model.compile(keras.optimizers.SGD(0.01))
    with caplog.at_level(logging.WARNING, "contrast"):
        model.fit(RNG.random((24, 8, 8, 1)).astype("float32"), epochs=0, verbose=0)
    assert "shift='cutperm'" in caplog.text
