import keras
import numpy as np
import pytest

from contrast.layers import ProjectionHead
from contrast.layers.scheduled_temperature import ScheduledTemperature
from contrast.losses import InfoNCE, NTXent, total_loss
from contrast.optimizers import WarmupCosine
from tests.case import assert_close, check_layer, to_numpy

INPUTS = np.random.default_rng(0).normal(size=(8, 2, 4)).astype("float32")
SCHEDULE = {"peak": 0.8, "total_steps": 8, "warmup_steps": 2, "start": 0.2, "end": 0.1}


def expected(step):
    if step < 2:
        return 0.2 + 0.6 * step / 2
    return 0.1 + 0.35 * (1 + np.cos(np.pi * min(1, (step - 2) / 6)))


@keras.saving.register_keras_serializable(package="contrast_tests")
class Cooling(keras.Model):
    """Records the temperature that it trains with."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.temperature = ScheduledTemperature(WarmupCosine(**SCHEDULE))
        self.head = ProjectionHead((3,))
        self.seen = keras.metrics.Sum(name="temperature")

    def call(self, inputs):
        return self.head(inputs)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        loss = NTXent(self.temperature)(y, y_pred)
        self.seen.update_state(self.temperature.value)
        if training:
            self.temperature.update()
        return total_loss(self, loss=loss)


def test_layer(tmp_path):
    arguments = {"schedule": WarmupCosine(0.5, total_steps=4, end=0.1)}
    check_layer(ScheduledTemperature, arguments, INPUTS[:, 0], (8, 4), tmp_path)


def test_fit_follows_the_schedule_and_a_file_keeps_the_step(tmp_path):
    model = Cooling()
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(INPUTS, batch_size=4, epochs=2, verbose=0).history["temperature"]
    assert_close(np.array(history), np.array([expected(0) + expected(1), expected(2) + expected(3)]))
    model.evaluate(INPUTS, verbose=0)
    assert_close(model.temperature.value, np.float32(expected(4)))

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(to_numpy(loaded.temperature.step)) == 4
    history = loaded.fit(INPUTS, batch_size=4, epochs=3, verbose=0).history["temperature"]
    sums = [expected(step) + expected(step + 1) for step in (4, 6, 8)]
    assert_close(np.array(history), np.array(sums))


def test_a_loss_takes_it_as_it_takes_a_float():
    temperature = ScheduledTemperature(WarmupCosine(**SCHEDULE))
    for step in range(2):
        assert_close(InfoNCE(temperature)(None, INPUTS), to_numpy(InfoNCE(expected(step))(None, INPUTS)))
        temperature.update()


def test_a_schedule_that_reaches_zero_stops_at_the_minimum():
    temperature = ScheduledTemperature(WarmupCosine(0.5, total_steps=1), minimum=0.02)
    temperature.update()
    assert_close(temperature.value, np.float32(0.02))


def test_bad_arguments():
    with pytest.raises(TypeError, match="as a float"):
        ScheduledTemperature(0.1)
    with pytest.raises(ValueError, match="minimum must be positive, got 0"):
        ScheduledTemperature(WarmupCosine(**SCHEDULE), minimum=0.0)
    model = keras.Sequential([keras.Input((2, 4)), keras.layers.Dense(3)])
    model.compile("sgd", NTXent(ScheduledTemperature(WarmupCosine(**SCHEDULE))))
    with pytest.raises(TypeError, match="compile"):
        model.fit(INPUTS, verbose=0)
