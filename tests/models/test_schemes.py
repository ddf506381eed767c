"""What all schemes share: a step, features, saving, configuration, evaluation."""

import json

import keras
import numpy as np
import pytest

from tests.case import assert_close, to_numpy
from tests.models.schemes import ALL, LABELS, data, make, samples


def values(variables):
    return {variable.path: to_numpy(variable) for variable in variables}


def plain(config):
    """A config as JSON keeps it: tuples are lists."""
    return json.loads(json.dumps(config))


def state_of(model):
    """Untrained state that a step must change."""
    return [variable for variable in model.non_trainable_variables if "seed" not in variable.path]


@pytest.mark.parametrize("name", ALL)
def test_a_step_moves_what_it_should_and_all_is_saved(name, tmp_path):
    model = make(name)
    model.compile(keras.optimizers.SGD(0.1))
    labels = LABELS if name == "SupCon" else None
    model.fit(data(name), labels, batch_size=8, verbose=0)
    before = values(model.trainable_variables)
    state = values(state_of(model))
    history = model.fit(data(name), labels, batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    after = values(model.trainable_variables)
    # A bias that shifts all samples alike has no gradient where the batch's mean is taken out behind it.
    still = [path for path, value in after.items() if np.array_equal(value, before[path])]
    assert before and not [path for path in still if not path.endswith("bias")], still
    unchanged = [
        path for path, value in values(state_of(model)).items() if np.array_equal(value, state[path])
    ]
    assert not [path for path in unchanged if not path.endswith("ids")], unchanged

    assert np.isfinite(model.evaluate(data(name), labels, batch_size=8, verbose=0))
    features = model.predict(samples(name), batch_size=8, verbose=0)
    if not name.startswith("DualEncoder"):
        assert features.shape == (8, 8)
        assert_close(model.encoder.predict(samples(name), verbose=0), features, 1e-6)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert plain(loaded.get_config()) == plain(model.get_config())
    assert len(loaded.weights) == len(model.weights)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs), err_msg=theirs.path)
    for ours, theirs in zip(
        keras.tree.flatten(loaded.predict(samples(name), batch_size=8, verbose=0)),
        keras.tree.flatten(features),
        strict=True,
    ):
        assert_close(ours, theirs, 1e-6)


@pytest.mark.once
@pytest.mark.parametrize("name", ALL)
def test_no_two_variables_share_a_path(name):
    """On PyTorch the gradient of one of them would never be cleared."""
    model = make(name)
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(data(name), LABELS, batch_size=8, verbose=0)
    paths = [variable.path for variable in model.variables]
    assert sorted(paths) == sorted(set(paths))
    known = {id(parameter) for parameter in model.parameters()}
    assert [v.path for v in model.trainable_variables if id(v.value) not in known] == []


@pytest.mark.once
@pytest.mark.parametrize("name", ALL)
def test_half_precision(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make(name)
        model.compile(keras.optimizers.SGD(0.1))
        history = model.fit(data(name), LABELS if name == "SupCon" else None, batch_size=8, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
