import keras
import numpy as np
import pytest

from contrast.losses import InfoNCE
from contrast.optimizers import WarmupCosine
from tests.case import assert_close, to_numpy


def test_values():
    schedule = WarmupCosine(2.0, total_steps=30, warmup_steps=10, start=0.5, end=0.1)
    expected = [
        0.5 + 1.5 * s / 10 if s < 10 else 0.1 + 0.95 * (1 + np.cos(np.pi * min(1, (s - 10) / 20)))
        for s in range(40)
    ]
    assert_close(keras.ops.stack([schedule(step) for step in range(40)]), np.array(expected))


def test_without_warmup_it_starts_at_the_peak_and_may_rise():
    schedule = WarmupCosine(0.9, total_steps=10, end=1.0)
    values = [float(to_numpy(schedule(keras.ops.convert_to_tensor(step)))) for step in range(12)]
    assert values[0] == pytest.approx(0.9)
    assert values[10:] == pytest.approx([1.0, 1.0])
    assert values == sorted(values)


def test_as_learning_rate_in_fit_and_saved(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(WarmupCosine(1.0, total_steps=4, warmup_steps=2)), "mae")
    start = float(to_numpy(model.weights[0])[0, 0])
    # The gradient of the absolute error is 1: the weight falls by the sum of the rates 0, 0.5, 1, 0.5.
    model.fit(np.ones((4, 1)), np.full((4, 1), -100.0), batch_size=1, verbose=0)
    assert float(to_numpy(model.weights[0])[0, 0]) == pytest.approx(start - 2.0, abs=1e-5)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer._learning_rate.get_config() == model.optimizer._learning_rate.get_config()


def test_as_temperature():
    embeddings = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    schedule = WarmupCosine(0.5, total_steps=10, end=0.1)
    assert_close(InfoNCE(schedule(10))(None, embeddings), to_numpy(InfoNCE(0.1)(None, embeddings)))


@pytest.mark.parametrize(("total", "warmup"), [(0, 0), (5, 5), (5, -1)])
def test_bad_arguments(total, warmup):
    with pytest.raises(ValueError, match="warmup_steps < total_steps"):
        WarmupCosine(1.0, total_steps=total, warmup_steps=warmup)
