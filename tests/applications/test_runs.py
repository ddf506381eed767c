import builtins
import csv
import json
import logging
import math
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from applications import runs
from applications.files import json_text
from applications.runs import RunFolder, default_path, is_finished
from contrast.data import ArrayBatches
from contrast.data.files import whole_file


def small_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


class Rows(ArrayBatches):
    """Inputs and targets."""

    def __init__(self, count=8):
        super().__init__({"x": np.random.default_rng(0).normal(size=(count, 3))}, batch_size=4)

    def __getitem__(self, index):
        rows = self.arrays["x"][self.rows(index)]
        return rows, rows[:, :2]


class EndError(Exception):
    """Stands for whatever ends a process."""


def end_at(epoch):
    def end(now, logs=None):
        if now == epoch:
            raise EndError

    return keras.callbacks.LambdaCallback(on_epoch_begin=end)


def eager_model():
    model = small_model()
    model.compile("adam", "mse", run_eagerly=True)
    return model


def two_stages(run, ends=()):
    """Trains twice; `ends` are callbacks of the first and of the second stage."""
    keras.utils.set_random_seed(5)
    models = eager_model(), eager_model()
    for model, stage, ended in zip(models, ("first", "second"), ends or (None, None), strict=True):
        callbacks = [] if ended is None else [ended]
        run.fit(model, Rows(), epochs=3, stage=stage, callbacks=callbacks, verbose=0)
    return [weight for model in models for weight in model.get_weights()]


def configured(path, **options):
    run = RunFolder(path, **options)
    run.write_config("task", "paper", 0, keras.config.backend(), {})
    return run


AT_ONCE, AFTER_ONE = end_at(0), end_at(1)


@pytest.mark.parametrize("ends", [(AFTER_ONE, None), (AT_ONCE, None), (None, AFTER_ONE), (None, AT_ONCE)])
def test_two_stages_go_on_in_the_one_that_was_interrupted(tmp_path, ends):
    unbroken = configured(tmp_path / "unbroken")
    expected = two_stages(unbroken)
    with pytest.raises(EndError):
        two_stages(configured(tmp_path / "run"), ends)
    trained = (tmp_path / "run" / "checkpoint-first.npz").exists()
    assert trained == (ends[0] is None or ends[0] is AFTER_ONE)
    if trained:
        with pytest.raises(ValueError, match="holds an interrupted run; --resume goes on with it"):
            RunFolder(tmp_path / "run")
    run = RunFolder(tmp_path / "run", resume=True)
    for ours, theirs in zip(two_stages(run), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    histories = [json.loads((each.path / "history.json").read_text()) for each in (run, unbroken)]
    assert histories[0] == histories[1]
    assert {name: len(values) for name, values in histories[0].items()} == {"first/loss": 3, "second/loss": 3}
    run.finish()
    assert is_finished(run.path) and not run.has_checkpoint
    assert not [entry.name for entry in run.path.iterdir() if entry.name.startswith(".")]
    with pytest.raises(ValueError, match="holds a finished run"):
        RunFolder(run.path, resume=True)


def test_a_stage_that_was_finished_is_not_trained_again_even_if_it_was_stopped(tmp_path):
    stop = keras.callbacks.TerminateOnNaN()
    stop.on_epoch_end = lambda epoch, logs=None: setattr(stop.model, "stop_training", epoch == 1)
    run = configured(tmp_path)
    assert len(run.fit(eager_model(), Rows(), epochs=9, callbacks=[stop], verbose=0)["loss"]) == 2
    model = eager_model()
    history = RunFolder(tmp_path, resume=True).fit(
        model, Rows(), epochs=9, callbacks=[end_at(2), end_at(0)], verbose=0
    )
    assert len(history["loss"]) == 2


def test_bad_stages(tmp_path):
    run = configured(tmp_path)
    with pytest.raises(TypeError, match="data must be a keras.utils.PyDataset, got ndarray"):
        run.fit(eager_model(), np.ones((4, 3)), epochs=1)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        run.fit(eager_model(), Rows(), epochs=1, steps_per_epoch=2)
    run.fit(eager_model(), Rows(), epochs=2, verbose=0)
    with pytest.raises(ValueError, match="stage must be another name"):
        run.fit(eager_model(), Rows(), epochs=2)
    with pytest.raises(ValueError, match="epochs must be at least the 2"):
        RunFolder(tmp_path, resume=True).fit(eager_model(), Rows(), epochs=1)


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(ValueError, match="no run to resume"):
        RunFolder(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "config.json").write_text('{"task": "x"}')
    with pytest.raises(ValueError, match="config.json cannot be read: it must hold arguments"):
        RunFolder(tmp_path, resume=True).read_config()


def test_a_resumed_run_says_on_what_it_goes_on(tmp_path, caplog):
    run = configured(tmp_path)
    run.write_resumption(keras.config.backend())
    assert not caplog.messages
    config = json.loads((tmp_path / "config.json").read_text())
    config["resumed"][0]["versions"]["numpy"] = "1.0"
    (tmp_path / "config.json").write_text(json.dumps(config))
    run.write_resumption(keras.config.backend())
    assert "numpy 1.0" in caplog.text and "may not be the very same" in caplog.text
    assert len(run.read_config()["resumed"]) == 2


def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for name in (".4711-checkpoint-first.npz", ".4711-model.keras"):
        (tmp_path / name).write_text("half")
    RunFolder(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"config.json", ".lock"}
    (tmp_path / ".4711-mine.txt").write_text("not ours")
    with pytest.raises(ValueError, match="holds other files"):
        RunFolder(tmp_path)


def test_curves_that_cannot_be_written_do_not_end_the_training(tmp_path, caplog, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    run = configured(tmp_path)
    monkeypatch.setattr(runs, "write_text", full)
    assert len(run.fit(eager_model(), Rows(), epochs=2, verbose=0)["loss"]) == 2
    assert "The curves could not be written" in caplog.text


def test_validation_stands_beside_training_also_in_a_stage(tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")
    drawn = []
    monkeypatch.setattr(
        figure.Figure, "savefig", lambda self, path, **options: (drawn.append(self), path.touch())
    )
    history = {"first/loss": [2.0, 1.0], "first/val_loss": [3.0, 2.0], "loss": [1.0], "val_loss": [1.0]}
    RunFolder(tmp_path).write_history(history)
    panels = {axis.get_title(): [line.get_label() for line in axis.get_lines()] for axis in drawn[0].axes}
    assert panels == {"first/loss": ["training", "validation"], "loss": ["training", "validation"]}


@pytest.mark.slow
def test_a_folder_in_use_by_another_process_is_refused(tmp_path):
    program = (
        "import sys; from applications.runs import RunFolder;"
        "run = RunFolder(sys.argv[1]); print('in', flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "in\n"
    with pytest.raises(ValueError, match="in use: another process"):
        RunFolder(tmp_path)
    other.kill()
    other.communicate()
    RunFolder(tmp_path)


def test_a_run_leaves_everything_to_look_at_it_and_to_use_it(tmp_path):
    pytest.importorskip("matplotlib")
    run = RunFolder(tmp_path / "deep" / "run")
    run.write_config("face_naming", "secla", seed=3, backend=keras.config.backend(), arguments={"epochs": 2})
    model = small_model()
    inputs = np.ones((4, 3), "float32")
    history = model.fit(inputs, np.ones((4, 2)), epochs=2, validation_split=0.5, verbose=0)
    run.write_history(history.history)
    run.save_model(model)
    run.finish()

    config = json.loads((run.path / "config.json").read_text())
    assert (config["task"], config["paper"], config["seed"]) == ("face_naming", "secla", 3)
    assert config["arguments"] == {"epochs": 2}
    assert set(config["versions"]) == {"python", "numpy", "keras", keras.config.backend()}
    assert config["versions"]["keras"] == keras.__version__
    with (run.path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["val_loss"]) for row in rows] == history.history["val_loss"]
    assert json.loads((run.path / "history.json").read_text()) == history.history
    assert (run.path / "curves.png").read_bytes().startswith(b"\x89PNG")
    loaded = keras.saving.load_model(run.path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    finished = json.loads((run.path / "finished.json").read_text())
    assert finished["last"]["loss"] == history.history["loss"][-1]
    assert not [entry for entry in run.path.iterdir() if entry.name.startswith(".")]


def test_a_folder_with_results_is_never_written_over(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.finish()
    with pytest.raises(ValueError, match="holds a finished run"):
        RunFolder(run.path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photos.csv").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        RunFolder(tmp_path / "data")
    unfinished = RunFolder(tmp_path / "unfinished")
    unfinished.write_history({"loss": [1.0]})
    with pytest.raises(ValueError, match="holds other files"):
        RunFolder(unfinished.path)


def test_an_attempt_without_result_makes_room(tmp_path):
    run = RunFolder(tmp_path)
    run.write_config("task", "paper", 0, keras.config.backend(), {})
    run.write_failure("Traceback ...")
    RunFolder(tmp_path)
    assert not (tmp_path / "error.txt").exists()


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="output must be a folder that can be written"):
        RunFolder(tmp_path / "file" / "run")
    with pytest.raises(ValueError, match="output must be a folder that can be written"):
        RunFolder(tmp_path / "file")


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    def read_only(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(ValueError, match="can be written.*Permission denied"):
        RunFolder(tmp_path)


def test_default_paths_do_not_collide(tmp_path):
    first = default_path("face_naming", tmp_path)
    assert first.parent == tmp_path
    assert first.name.startswith("face_naming-")
    first.mkdir()
    second = default_path("face_naming", tmp_path)
    if second.name.startswith(first.name):  # made within the same second
        assert second != first
        second.mkdir()
        assert default_path("face_naming", tmp_path) not in (first, second)


def test_curves_of_unequal_length_and_not_finite(tmp_path):
    run = RunFolder(tmp_path)
    run.write_history({"loss": [1.0, math.nan, math.inf], "accuracy": [0.5]})
    assert json.loads((tmp_path / "history.json").read_text())["loss"] == [1.0, None, None]
    assert (tmp_path / "history.csv").read_text().splitlines()[-1] == "3,inf,"


def test_without_matplotlib_there_is_no_picture_and_a_word_about_it(tmp_path, monkeypatch, caplog):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.WARNING, logger="contrast"):
        RunFolder(tmp_path).write_history({"loss": [1.0]})
    assert (tmp_path / "history.csv").exists()
    assert not (tmp_path / runs.CURVES).exists()
    assert "keras-contrast[demo]" in caplog.text


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")

    def write_half(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), whole_file(path) as temporary:
        assert temporary.suffix == ".keras"
        write_half(temporary)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, True, None], "b": {"c": []}, "d": ["x ] y", "[ z"], "e": "line\nbreak [\n 1 ]"},
        {"curves": [[0.1, 0.2], [], [3.0]], "names": ["a", "b, c"]},
        [],
    ],
)
def test_json_is_read_back_as_it_was(value):
    assert json.loads(json_text(value)) == value


def test_json_of_numpy_and_of_what_is_not_finite():
    text = json_text({"a": np.float32(0.5), "b": np.arange(3), "c": -math.inf, "d": np.nan, "e": (1, 2)})
    assert json.loads(text) == {"a": 0.5, "b": [0, 1, 2], "c": None, "d": None, "e": [1, 2]}
    assert '"b": [0, 1, 2]' in text
