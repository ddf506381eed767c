"""A training on several devices leaves what one device leaves: losses, weights and all other state.

One program a backend, so that imports are paid for once: virtual devices on TensorFlow and JAX, two processes
on PyTorch.
"""

import json
import sys

import keras
import numpy as np
import pytest

from contrast.distribution import start
from tests.distribution.processes import launched
from tests.distribution.trainings import NAMES

BACKEND = keras.backend.backend()
DEVICES = 2
PROCESSES = DEVICES if BACKEND == "torch" else 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("trainings")
    devices = "auto" if BACKEND == "torch" else str(DEVICES)
    command = [sys.executable, "-m", "tests.distribution.program", str(path), devices]
    assert launched(BACKEND, command, PROCESSES) == 0
    return path


def load(path):
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


def assert_same(one, many, tolerance=1e-4):
    """Equal within the tolerance, relative to the largest entry of each array."""
    assert len(one) == len(many) >= 5
    for (name, expected), actual in zip(one.items(), many.values(), strict=True):
        assert actual.shape == expected.shape, name
        largest = max(1e-2, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(actual / largest, expected / largest, rtol=0, atol=tolerance, err_msg=name)


def said(folder, index=0):
    return json.loads((folder / f"said-{index}.json").read_text())


def test_the_devices_were_there(folder):
    found = [said(folder, index) for index in range(PROCESSES)]
    assert [each["count"] for each in found] == [DEVICES] * PROCESSES
    assert [each["index"] for each in found] == list(range(PROCESSES))


@pytest.mark.parametrize("name", NAMES[BACKEND])
def test_it_is_the_training_on_one_device(folder, name):
    one, many = load(folder / f"{name}-one-0.npz"), load(folder / f"{name}-many-0.npz")
    assert_same(one, many)
    assert np.isfinite(one["loss"]).all()


@pytest.mark.skipif(PROCESSES == 1, reason="one process")
@pytest.mark.parametrize("name", NAMES[BACKEND])
def test_all_processes_hold_the_same(folder, name):
    first, *others = [load(folder / f"{name}-many-{index}.npz") for index in range(PROCESSES)]
    for other in others:
        assert_same(first, other, 1e-7)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="copies in one process are TensorFlow's")
def test_all_copies_of_a_variable_are_the_same(folder):
    assert said(folder)["copies differ"] == []


@pytest.mark.skipif(BACKEND == "jax", reason="JAX divides batches evenly")
@pytest.mark.parametrize("name", ["losses", "applications"])
def test_a_last_batch_that_does_not_divide(folder, name):
    assert_same(*(load(folder / f"uneven-{name}-{kind}-0.npz") for kind in ("one", "many")))


@pytest.mark.skipif(BACKEND != "jax", reason="others divide unevenly")
def test_a_last_batch_that_does_not_divide_is_refused(folder):
    assert "batch 2 has 5 rows, which cannot be divided evenly over 2 devices" in said(folder)["uneven"]


def test_a_batch_smaller_than_the_devices_is_refused(folder):
    assert "has 1 rows, which cannot be divided" in said(folder)["too few"]


@pytest.mark.skipif(BACKEND == "jax", reason="its batch normalisation is always that of the global batch")
def test_batch_normalisation_of_each_replica_is_another(folder):
    many, loose = load(folder / "SimCLR-many-0.npz"), load(folder / "per_replica-0.npz")
    variances = [name for name in many if name.endswith("moving_variance")]
    assert variances
    for name, other in zip(many, loose, strict=True):
        if name in variances:
            assert np.abs(many[name] - loose[other]).max() > 1e-3


def test_a_prediction_has_a_row_for_each_row(folder):
    assert said(folder)["predicted"] is True


def test_random_numbers_differ_between_replicas(folder):
    drawn = [said(folder, index)["drawn"] for index in range(PROCESSES)]
    assert all(each == drawn[0] for each in drawn)
    assert len({tuple(row) for row in drawn[0]}) == len(drawn[0]) == 8
    assert said(folder)["seed state"] == said(folder)["seed state of one device"]


@pytest.mark.parametrize("devices", [0, "all", 1.5])
def test_devices_are_a_number(devices):
    with pytest.raises(ValueError, match=f"devices must be 'auto' or a number from 1, got {devices!r}"):
        start(devices)
