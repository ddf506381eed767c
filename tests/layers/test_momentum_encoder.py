import keras
import numpy as np
import pytest
from keras import ops

from contrast.layers import MomentumEncoder, ProjectionHead
from contrast.losses import total_loss
from contrast.optimizers import WarmupCosine
from tests.case import assert_close, check_layer, to_numpy

INPUTS = np.random.default_rng(0).normal(2, 3, size=(8, 4)).astype("float32")
KERNEL, MEAN = 0, 4  # places among the weights of `dense_norm()`


def dense_norm():
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(momentum=0.5)]
    )


@keras.saving.register_keras_serializable(package="contrast_tests")
class Taught(keras.Model):
    """Learns to agree with its teacher on reversed inputs."""

    def __init__(self, encoder, momentum=0.9, batch_statistics="own", **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.teacher = MomentumEncoder(encoder, momentum, batch_statistics)

    def call(self, inputs, training=None):
        return self.encoder(inputs, training=training)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        self.teacher.update(self.encoder)
        target = self.teacher(ops.flip(x, axis=1), training=training)
        return total_loss(self, mean=ops.mean(ops.square(y_pred - target - 1.0)))

    def get_config(self):
        config = self.teacher.get_config()
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "momentum": config["momentum"],
            "batch_statistics": config["batch_statistics"],
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def trained(batch_statistics, momentum, steps=3):
    """A model after some steps; student weights before each step; student weights at the end."""
    model = Taught(dense_norm(), momentum, batch_statistics)
    model.compile(keras.optimizers.SGD(0.2))
    students = []
    for _ in range(steps):
        students.append(weights(model.encoder))
        model.fit(INPUTS, batch_size=8, verbose=0)
    return model, students, weights(model.encoder)


def test_layer(tmp_path):
    check_layer(MomentumEncoder, {"encoder": dense_norm()}, INPUTS, (8, 3), tmp_path, precision=False)


def test_fit_with_own_statistics_and_save(tmp_path):
    schedule = WarmupCosine(0.5, total_steps=4, end=1.0)
    model, students, _ = trained("own", schedule)
    assert {len(model.trainable_variables), len(model.encoder.trainable_variables)} == {4}
    teacher = weights(model.teacher.encoder)

    mean = np.zeros(3)
    expected = students[0]
    for step, student in enumerate(students):
        share = 1.0 - 0.5 * 0.5 * (1 + np.cos(np.pi * step / 4))
        expected = [share * t + (1 - share) * s for t, s in zip(expected, student, strict=True)]
        mean = 0.5 * mean + 0.5 * (INPUTS[:, ::-1] @ expected[KERNEL] + expected[1]).mean(axis=0)
    for place in range(MEAN):
        assert_close(teacher[place], expected[place])
    assert_close(teacher[MEAN], mean, 1e-4)
    assert not np.allclose(teacher[KERNEL], students[-1][KERNEL], atol=1e-3), "the student did not move"
    assert int(to_numpy(model.teacher.step)) == 3

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert isinstance(loaded.teacher.momentum, WarmupCosine)
    for ours, theirs in zip(weights(loaded), weights(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(to_numpy(loaded.teacher.step)) == 3


@pytest.mark.parametrize("batch_statistics", ["ema", "copy"])
def test_fit_with_the_students_statistics(batch_statistics):
    model, students, last = trained(batch_statistics, 0.75)
    # In a step the student's statistics move before the update, its weights after.
    seen = [*students[1:], last]
    expected = students[0]
    for before, after in zip(students, seen, strict=True):
        student = [*before[:MEAN], *after[MEAN:]]
        expected = [0.75 * t + 0.25 * s for t, s in zip(expected, student, strict=True)]
    if batch_statistics == "copy":
        expected = [*expected[:MEAN], *last[MEAN:]]
    for ours, theirs in zip(weights(model.teacher.encoder), expected, strict=True):
        assert_close(ours, theirs)
    in_training = to_numpy(model.teacher(INPUTS, training=True))
    assert_close(in_training, to_numpy(model.teacher(INPUTS, training=False)))


def test_own_statistics_normalise_by_the_batch_even_when_frozen():
    teacher = MomentumEncoder(dense_norm())
    teacher.trainable = True
    assert teacher.trainable_variables == []
    teacher.trainable = False
    outputs = to_numpy(teacher(INPUTS, training=True))
    np.testing.assert_allclose(outputs.mean(axis=0), 0, atol=1e-5)


def test_unfreezing_a_model_leaves_the_teacher_frozen():
    model = Taught(dense_norm())
    model.trainable = False
    model.trainable = True
    assert len(model.trainable_variables) == 4
    assert len(model.teacher.encoder.trainable_variables) == 0


def test_teacher_starts_equal_and_shares_nothing():
    encoder = ProjectionHead((5, 3), batch_norm=True)
    encoder.build((None, 4))
    teacher = MomentumEncoder(encoder, momentum=0.0)
    expected = to_numpy(encoder(INPUTS))
    assert_close(teacher(INPUTS), expected)
    encoder.set_weights([weight + 1 for weight in weights(encoder)])
    assert_close(teacher(INPUTS), expected)
    teacher.update(encoder)
    for ours, theirs in list(zip(weights(teacher.encoder), weights(encoder), strict=True))[:2]:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"momentum": 1.5}, ValueError, r"\[0, 1\]"),
        ({"momentum": "slow"}, TypeError, "momentum"),
        ({"batch_statistics": "none"}, ValueError, "'own', 'ema', 'copy'"),
        ({"encoder": keras.layers.Dense(3)}, ValueError, "build"),
        ({"encoder": lambda x: x}, TypeError, "encoder"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        MomentumEncoder(**{"encoder": arguments.get("encoder") or dense_norm(), **arguments})


def test_another_student():
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    with pytest.raises(ValueError, match="must have the teacher's weights"):
        MomentumEncoder(dense_norm()).update(other)
