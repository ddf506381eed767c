import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from applications.environment import BACKENDS
from contrast import backend
from contrast.callbacks import TrainingCheckpoint
from contrast.data import ArrayBatches
from tests.callbacks.resumable import EPOCHS, arrays, make, train


class InterruptionError(Exception):
    """Stands for whatever ends a process."""


class Interrupt(keras.callbacks.Callback):
    """Ends the training within an epoch."""

    def __init__(self, epoch, batch=1):
        super().__init__()
        self.at = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise InterruptionError


class Rows(ArrayBatches):
    """Inputs and targets."""

    def __init__(self, count=12, **options):
        x = np.random.default_rng(0).normal(size=(count, 3)).astype("float32")
        super().__init__({"x": x, "y": x[:, :2]}, batch_size=4, **options)

    def __getitem__(self, index):
        rows = self.rows(index)
        return self.arrays["x"][rows], self.arrays["y"][rows]


def small_model(width=2, optimizer="adam", built=True, dtype=None):
    model = keras.Sequential([keras.layers.Dense(4, dtype=dtype), keras.layers.Dense(width)])
    if built:
        model.build((None, 3))
    model.compile(optimizer, lambda y, z: keras.ops.mean((y[:, :1] - z[:, :1]) ** 2), run_eagerly=True)
    return model


def fit(path, epochs, callbacks=(), model=None, data=None, **options):
    model, data = model or small_model(), data or Rows()
    checkpoint = TrainingCheckpoint(path, data, **options)
    start = checkpoint.initial_epoch
    model.fit(data, epochs=epochs, initial_epoch=start, callbacks=[*callbacks, checkpoint], verbose=0)
    return model


def assert_same(model, other):
    for ours, theirs in zip(arrays(model), arrays(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return train(tmp_path_factory.mktemp("unbroken") / "checkpoint.npz")


def disturb():
    """Leaves the global generators elsewhere, as another process would."""
    random.seed(99)
    np.random.seed(99)
    keras.utils.set_random_seed(99)


def test_an_interrupted_training_comes_to_the_weights_of_an_unbroken_one(unbroken, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(InterruptionError):
        train(path, [Interrupt(epoch=2)])
    disturb()
    model = train(path)
    assert_same(model, unbroken)
    assert model.history.history == unbroken.history.history
    assert model.history.epoch == list(range(EPOCHS))


def test_a_finished_training_is_put_back_and_not_trained_again(tmp_path):
    path = tmp_path / "checkpoint.npz"
    keras.random.uniform((1,))  # from here on there is a global generator
    fit(path, 2)
    drawn = random.random(), np.random.uniform(), keras.random.uniform((3,)) + 0
    disturb()
    again = fit(path, 2, [Interrupt(epoch=0, batch=0)])
    assert again.history.epoch == [0, 1] and len(again.history.history["loss"]) == 2
    assert (random.random(), np.random.uniform()) == drawn[:2]
    values = [keras.ops.convert_to_numpy(each) for each in (keras.random.uniform((3,)), drawn[2])]
    np.testing.assert_array_equal(*values)


def test_the_backend_s_own_generator_goes_on_where_it_was():
    dropout = keras.layers.Dropout(0.5)  # without a seed: on PyTorch it draws from PyTorch's generator
    x = np.ones((4, 50), "float32")
    state, seed = backend.random_state(), keras.ops.convert_to_numpy(dropout.seed_generator.state)
    first = keras.ops.convert_to_numpy(dropout(x, training=True))
    dropout.seed_generator.state.assign(seed)
    backend.set_random_state(state)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(dropout(x, training=True)), first)
    assert (keras.ops.convert_to_numpy(dropout(x, training=True)) != first).any()


def test_a_model_that_is_built_by_its_first_step_is_resumed(tmp_path):
    path = tmp_path / "checkpoint.npz"
    keras.utils.set_random_seed(1)
    expected = fit(tmp_path / "other.npz", 3, model=small_model(built=False))
    keras.utils.set_random_seed(1)
    with pytest.raises(InterruptionError):
        fit(path, 3, [Interrupt(epoch=1)], model=small_model(built=False))
    disturb()
    assert_same(fit(path, 3, model=small_model(built=False)), expected)


def test_weights_in_bfloat16_are_kept(tmp_path):
    path = tmp_path / "checkpoint.npz"
    model = fit(path, 1, model=small_model(dtype="bfloat16"))
    again = small_model(dtype="bfloat16")
    assert TrainingCheckpoint(path, Rows()).restore(again) == 1
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(
            *(keras.ops.convert_to_numpy(keras.ops.cast(w, "float32")) for w in (ours, theirs))
        )


def test_every_few_epochs_and_at_the_end(tmp_path):
    seen = []
    path = tmp_path / "deep" / "checkpoint.npz"
    look = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(TrainingCheckpoint(path).initial_epoch)
    )
    fit(path, 4, [look], every=3)
    assert seen == [0, 0, 0, 3]
    assert TrainingCheckpoint(path).initial_epoch == 4


def test_a_training_that_was_stopped_says_so(tmp_path):
    path = tmp_path / "checkpoint.npz"
    fit(path, 2)
    assert not TrainingCheckpoint(path).stopped
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", True)
    )
    model = small_model()
    fit(path, 9, [stop], model=model)
    checkpoint = TrainingCheckpoint(path)
    assert checkpoint.stopped and checkpoint.initial_epoch == 3


def no_space(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_neither_the_training_nor_the_last_good_checkpoint(tmp_path, caplog, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    expected = fit(tmp_path / "other.npz", 4, model=seeded())

    def fill(epoch, logs=None):
        if epoch == 2:
            monkeypatch.setattr(os, "replace", no_space)

    model = fit(path, 4, [keras.callbacks.LambdaCallback(on_epoch_begin=fill)], model=seeded())
    monkeypatch.undo()
    assert_same(model, expected)
    said = caplog.messages
    assert "The checkpoint of epoch 3 could not be written" in said[0]
    assert "No space left on device. Training goes on. The last good one is of epoch 2." in said[0].replace(
        "[Errno 28] ", ""
    )
    assert said[-1].startswith("Not every checkpoint could be written") and "epoch 2." in said[-1]
    assert [entry.name for entry in tmp_path.glob("*checkpoint*")] == ["checkpoint.npz"]
    assert TrainingCheckpoint(path).initial_epoch == 2
    assert_same(fit(path, 4, model=seeded()), expected)


def seeded():
    keras.utils.set_random_seed(4)
    return small_model()


def test_a_file_that_outgrows_what_the_system_allows_is_no_checkpoint(tmp_path, caplog):
    path = tmp_path / "checkpoint.npz"
    fit(path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, hard))
    try:
        fit(path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in caplog.messages[0]
    assert TrainingCheckpoint(path).initial_epoch == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.npz"]
    fit(path, 2)


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    fit(tmp_path / "file" / "checkpoint.npz", 1)
    assert "could not be written" in caplog.messages[0] and "There is none yet." in caplog.messages[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"model": lambda: small_model(width=3)},
            r"of the model is 'sequential/dense/kernel' of shape \(4, 2\)",
        ),
        ({"model": lambda: small_model(optimizer="sgd")}, "of the optimizer"),
        ({"data": lambda: Rows(count=20)}, "data of 3 batches an epoch, got data of 5"),
        ({"epochs": lambda: 3, "start": lambda: 0}, "must be given initial_epoch=1"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, options, says):
    path = tmp_path / "checkpoint.npz"
    fit(path, 1)
    made = {name: make_it() for name, make_it in options.items()}
    model, data = made.get("model") or small_model(), made.get("data") or Rows()
    before = arrays(model)[: len(model.variables)]
    checkpoint = TrainingCheckpoint(path, data)
    start = made.get("start", checkpoint.initial_epoch)
    with pytest.raises(ValueError, match=says):
        model.fit(data, epochs=3, initial_epoch=start, callbacks=[checkpoint], verbose=0)
    if "start" not in made:
        for ours, theirs in zip(arrays(model), before, strict=False):
            np.testing.assert_array_equal(ours, theirs)


def test_the_same_model_made_later_in_a_process_is_the_same(tmp_path):
    fit(tmp_path / "checkpoint.npz", 1)
    for _ in range(11):
        small_model()
    fit(tmp_path / "checkpoint.npz", 2)
    assert TrainingCheckpoint(tmp_path / "checkpoint.npz").initial_epoch == 2


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "checkpoint.npz"
    fit(path, 1)
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    with pytest.raises(ValueError, match="checkpoint.npz cannot be read"):
        fit(path, 2)


def test_a_checkpoint_of_another_backend_goes_on_with_a_warning(tmp_path, caplog, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    fit(path, 1)
    monkeypatch.setattr("keras.config.backend", lambda: "another")
    fit(path, 2)
    assert f"was made with {keras.backend.backend()}" in caplog.messages[0]


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        TrainingCheckpoint(tmp_path / "c.npz", every=0)
    with pytest.raises(TypeError, match="data must be a keras.utils.PyDataset or None, got ndarray"):
        TrainingCheckpoint(tmp_path / "c.npz", np.zeros(3))


def program(name, *arguments):
    command = [sys.executable, "-m", "tests.callbacks.resumable", *map(str, arguments)]
    environment = {**os.environ, "KERAS_BACKEND": name, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_a_process_that_is_killed_is_resumed_to_the_same_weights(name, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    killed = program(name, whole, broken)  # trains without a break, and then slowly once more
    checkpoint = TrainingCheckpoint(broken / "checkpoint.npz")
    while checkpoint.initial_epoch < 2:
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.02)
    time.sleep(0.3)  # within the third epoch, whose three steps take 0.2 s each
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint.initial_epoch == 2 and not (broken / "final.npz").exists()
    resumed = program(name, broken)
    output = resumed.communicate()[1]
    assert resumed.returncode == 0, output
    with np.load(whole / "final.npz") as expected, np.load(broken / "final.npz") as actual:
        assert len(expected.files) > 20
        for array in expected.files:
            np.testing.assert_array_equal(actual[array], expected[array])


def test_the_training_of_these_tests_has_seeds_beside_its_weights():
    model, batches = make()
    assert {id(variable) for variable in model.variables} - {id(weight) for weight in model.weights}
    assert batches.augmentation.variables
