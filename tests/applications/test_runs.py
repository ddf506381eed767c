import builtins
import csv
import json
import logging
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from applications import runs
from applications.files import json_text
from applications.runs import RunFolder, default_path
from contrast.data.files import whole_file


def small_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


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
