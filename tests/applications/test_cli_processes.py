"""The command line as a process of its own: what it imports, and what is left of it when it is ended."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from applications.face_naming import identity_photos, save_folder

pytestmark = pytest.mark.once


def process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "applications.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_help_and_list_load_no_framework():
    program = (
        "import sys; from typer.testing import CliRunner; from applications import cli;"
        "results = [CliRunner().invoke(cli.app, line) for line in (['--help'], ['list'])];"
        "assert [result.exit_code for result in results] == [0, 0];"
        "print(sorted({'keras', 'numpy', 'gradio', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout == "[]\n"


@pytest.mark.slow
def test_an_unknown_backend_is_caught_before_keras_fails():
    result = process("train", "face_naming", KERAS_BACKEND="pytorch")
    assert result.returncode == 2
    assert result.stderr == "Error: KERAS_BACKEND must be one of tensorflow, jax, torch, got 'pytorch'.\n"


@pytest.mark.slow
def test_face_naming_trains_from_the_command_line(tmp_path):
    result = process("train", "face_naming", "--epochs", "1", "--output", str(tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    assert {"config.json", "curves.png", "finished.json", "history.csv", "model.keras"} <= {
        entry.name for entry in (tmp_path / "run").iterdir()
    }


@pytest.mark.slow
def test_a_training_that_is_ended_leaves_no_finished_run(tmp_path):
    command = [sys.executable, "-m", "applications.cli", "train", "face_naming"]
    command += ["--output", str(tmp_path / "run")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert "Run folder" in running.stdout.readline()
    running.terminate()
    running.communicate()
    assert running.returncode != 0
    assert not (tmp_path / "run" / "finished.json").exists()


@pytest.mark.slow
def test_a_training_of_two_stages_that_is_killed_is_resumed(tmp_path):
    photos, features = identity_photos(seed=0, count=60)
    save_folder(tmp_path / "photos", photos, features)
    command = ["train", "face_naming", "--paper", "secla_b", "--epochs", "30"]
    command += ["--data", str(tmp_path / "photos")]
    result = process(*command, "--output", str(tmp_path / "unbroken"))
    assert result.returncode == 0, result.stderr

    folder = tmp_path / "run"
    killed = subprocess.Popen(
        [sys.executable, "-m", "applications.cli", *command, "--output", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (folder / "checkpoint-second.npz").exists():
        assert killed.poll() is None
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (folder / "finished.json").exists()

    result = process("train", "face_naming", "--output", str(folder), "--resume")
    assert result.returncode == 0, result.stderr
    assert "(second)" in result.stderr
    loaded = [keras.saving.load_model(path / "model.keras") for path in (folder, tmp_path / "unbroken")]
    for ours, theirs in zip(*(model.get_weights() for model in loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    histories = [json.loads((path / "history.json").read_text()) for path in (folder, tmp_path / "unbroken")]
    assert histories[0] == histories[1]
    assert len(histories[0]["first/loss"]) == 30 and len(histories[0]["second/loss"]) == 15
