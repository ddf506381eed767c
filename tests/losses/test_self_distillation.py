import keras
import numpy as np
import pytest

from contrast.layers import Centering
from contrast.losses import SelfDistillation, total_loss
from tests.case import assert_close, check_layer, check_saved
from tests.losses.numerics import assert_agrees, log_softmax

rng = np.random.default_rng(6)
STUDENT, TEACHER = rng.normal(size=(4, 4, 3)), 0.1 * rng.normal(size=(4, 2, 3))
CENTER = np.array([0.1, -0.1, 0.05])


def distillation(teacher, student, center, student_temperature, teacher_temperature):
    q, log_p = (
        np.exp(log_softmax((teacher - center) / teacher_temperature)),
        log_softmax(student / student_temperature),
    )
    pairs = [(t, v) for t in range(teacher.shape[1]) for v in range(student.shape[1]) if t != v]
    return np.mean([-(q[:, t] * log_p[:, v]).sum(1).mean() for t, v in pairs])


@pytest.mark.parametrize("views", [2, 4])
def test_equation_and_constant_teacher(views):
    loss = SelfDistillation(0.2)
    assert_agrees(
        lambda t, s, c: loss(t, s, center=c, teacher_temperature=0.07),
        lambda t, s, c: distillation(t, s, c, 0.2, 0.07),
        TEACHER,
        STUDENT[:, :views],
        CENTER,
        constant=(0, 2),
    )


def test_teacher_temperature_of_the_constructor_and_no_center():
    expected = distillation(TEACHER, STUDENT, 0, 0.1, 0.06)
    assert_close(SelfDistillation(teacher_temperature=0.06)(TEACHER, STUDENT), expected)
    scalar = keras.ops.convert_to_tensor(0.06)
    assert_close(SelfDistillation()(TEACHER, STUDENT, teacher_temperature=scalar), expected)


def test_the_moving_centre():
    centering, center = Centering(3, momentum=0.9), np.zeros(3)
    for _ in range(3):
        logits = rng.normal(size=(4, 2, 3)) + 1
        centering.update(logits)
        center = 0.9 * center + 0.1 * logits.mean((0, 1))
    assert_close(centering.value, center)
    assert_close(centering(logits), logits - center)


def test_centering_as_a_layer(tmp_path):
    inputs = rng.normal(size=(4, 2, 3)).astype("float32")
    check_layer(Centering, {"dim": 3, "momentum": 0.5}, inputs, (4, 2, 3), tmp_path)


class Distilled(keras.Model):
    """A student that learns from a fixed copy of the inputs, with a centre."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.centering = keras.layers.Dense(3), Centering(3, momentum=0.5)

    def call(self, inputs):
        return self.dense(self.centering(inputs))

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        loss = SelfDistillation()(x, y_pred, sample_weight, center=self.centering.value)
        self.centering.update(x)
        return total_loss(self, loss=loss)


def test_the_centre_moves_inside_the_step_and_is_saved(tmp_path):
    views = rng.normal(size=(4, 2, 3)).astype("float32")
    model = Distilled()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(views, batch_size=4, epochs=2, verbose=0)
    assert_close(model.centering.value, 0.75 * views.mean((0, 1)))
    network = keras.Sequential([keras.Input((2, 3)), model.centering])
    check_saved(network, views, tmp_path)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: SelfDistillation(0), "student_temperature must be positive, got 0"),
        (lambda: SelfDistillation(teacher_temperature=-1), "teacher_temperature must be positive, got -1"),
        (lambda: SelfDistillation()(None, STUDENT), "teacher logits as y_true, got None"),
        (lambda: SelfDistillation()(TEACHER, STUDENT[:, :1]), "at least two views"),
        (lambda: SelfDistillation()(TEACHER, STUDENT, center=CENTER[:2]), r"center must have shape \(3,\)"),
        (lambda: SelfDistillation()(TEACHER, STUDENT, teacher_temperature=0), "teacher_temperature"),
        (lambda: Centering(0), "dim must be at least 1, got 0"),
        (lambda: Centering(3, momentum=1), "momentum"),
        (lambda: Centering(3).update(TEACHER[..., :2]), "3 entries along the last axis"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
