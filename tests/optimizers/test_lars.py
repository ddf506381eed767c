import keras
import numpy as np
import pytest

from contrast.optimizers import LARS, WarmupCosine
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(0)
SHAPES = {"kernel": (4, 3), "bias": (3,), "gamma": (2, 2), "zero": (2, 3)}


def numpy_step(weight, velocity, gradient, rate, adapted):
    """One step with momentum 0.8, decay 0.1 and trust coefficient 0.02."""
    if adapted:
        gradient = gradient + 0.1 * weight
        norms = np.linalg.norm(weight), np.linalg.norm(gradient)
        rate *= 0.02 * norms[0] / norms[1] if min(norms) > 0 else 1.0
    velocity = 0.8 * velocity + rate * gradient
    return weight - velocity, velocity


@pytest.mark.parametrize("exclude", [True, False])
def test_equals_numpy(exclude):
    weights = {name: rng.normal(size=shape) * (name != "zero") for name, shape in SHAPES.items()}
    variables = [keras.Variable(value, name=name, dtype="float32") for name, value in weights.items()]
    optimizer = LARS(
        WarmupCosine(0.5, total_steps=10),
        momentum=0.8,
        weight_decay=0.1,
        trust_coefficient=0.02,
        exclude_bias_and_norm=exclude,
    )
    velocities = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for step in range(4):
        gradients = {
            name: rng.normal(size=shape) * (step != 2 or name != "zero") for name, shape in SHAPES.items()
        }
        rate = 0.25 * (1 + np.cos(np.pi * step / 10))
        optimizer.apply(
            [keras.ops.convert_to_tensor(g.astype("float32")) for g in gradients.values()], variables
        )
        for name in SHAPES:
            adapted = not (exclude and name in ("bias", "gamma"))
            weights[name], velocities[name] = numpy_step(
                weights[name], velocities[name], gradients[name], rate, adapted
            )
    for variable, name in zip(variables, SHAPES, strict=True):
        assert_close(variable, weights[name])


def test_what_is_excluded_is_not_decayed():
    value, gradient = np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")
    moved = []
    for decay, names in ((0.0, None), (0.1, ["kernel"]), (0.1, None)):
        variable = keras.Variable(value, name="kernel", dtype="float32")
        optimizer = LARS(0.5, weight_decay=decay, trust_coefficient=0.02)
        optimizer.exclude_from_weight_decay(var_names=names)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        moved.append(to_numpy(variable))
    np.testing.assert_array_equal(moved[1], moved[0])
    assert not np.allclose(moved[2], moved[0], atol=1e-5)


def test_fit_learns_and_resumes_from_a_file(tmp_path):
    inputs = rng.normal(size=(32, 4)).astype("float32")
    targets = inputs @ rng.normal(size=(4, 3)).astype("float32")
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    model = keras.Sequential(layers)
    model.compile(LARS(1.0, weight_decay=1e-4, trust_coefficient=0.02), "mse")
    history = model.fit(inputs, targets, batch_size=32, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for twin in (model, loaded):
        twin.fit(inputs, targets, batch_size=32, shuffle=False, verbose=0)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert_close(ours, to_numpy(theirs), 1e-6)


@pytest.mark.parametrize("arguments", [{"momentum": 1.0}, {"weight_decay": -1.0}, {"trust_coefficient": 0.0}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        LARS(**arguments)
