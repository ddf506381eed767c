import keras
import numpy as np
import pytest

from contrast.ops import sinkhorn
from tests.case import assert_close, assert_value_and_gradient, to_numpy

SCORES = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")


def by_scaling(scores, temperature, iterations):
    """The textbook form: scale the columns, then the rows, of the exponentials."""
    mass = np.exp(scores.astype("float64") / temperature)
    for _ in range(iterations):
        mass /= mass.sum(axis=0, keepdims=True) * mass.shape[1]
        mass /= mass.sum(axis=1, keepdims=True) * mass.shape[0]
    return mass * mass.shape[0]


@pytest.mark.parametrize(("temperature", "iterations"), [(0.5, 1), (0.1, 3), (1.0, 20)])
def test_equals_scaling_in_float64(temperature, iterations):
    assert_close(sinkhorn(SCORES, temperature, iterations), by_scaling(SCORES, temperature, iterations))


def test_partition_is_equal_however_unequal_the_scores():
    scores = SCORES + np.array([5, 0, 0, 0], "float32")
    assignment = to_numpy(sinkhorn(scores, 0.5, 100))
    np.testing.assert_allclose(assignment.sum(axis=0), 3, rtol=1e-3)
    np.testing.assert_allclose(assignment.sum(axis=1), 1, rtol=1e-5)


def test_extreme_and_half_precision_scores_stay_finite():
    assignment = to_numpy(sinkhorn(keras.ops.cast(1e4 * SCORES, "float16"), 0.05))
    assert assignment.dtype == "float32"
    assert np.isfinite(assignment).all()
    np.testing.assert_allclose(assignment.sum(axis=1), 1, rtol=1e-4)


def test_gradient_passes():
    def loss(scores):
        return keras.ops.sum(sinkhorn(scores, 1.0, 2)[:, 0] * keras.ops.convert_to_tensor(SCORES[:, 1]))

    step = 1e-5
    wide = SCORES.astype("float64")
    gradient = np.zeros_like(wide)
    for index in np.ndindex(*wide.shape):
        ends = []
        for sign in (1, -1):
            moved = wide.copy()
            moved[index] += sign * step
            ends.append((by_scaling(moved, 1.0, 2)[:, 0] * SCORES[:, 1]).sum())
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    value = (by_scaling(SCORES, 1.0, 2)[:, 0] * SCORES[:, 1]).sum()
    assert_value_and_gradient(loss, [SCORES], value, [gradient])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SCORES[0],), "scores must be"),
        ((SCORES, 0.0), "temperature"),
        ((SCORES, 0.1, 0), "iterations"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn(*arguments)
