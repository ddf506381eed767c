"""`contrast train --distribute`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from applications import distributed
from applications.distributed import checked_devices, needs_processes, train_in_processes
from contrast.distribution import ReplicaBatches, launcher
from contrast.retrieval import EmbeddingIndex

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from applications.cli import main; main()"]


@pytest.mark.once
def test_what_can_be_asked_for():
    assert checked_devices(None) is None
    assert checked_devices("auto") == "auto"
    assert checked_devices("3") == 3
    for wrong in ("0", "-1", "all", "1.5"):
        with pytest.raises(ValueError, match=f"--distribute must be auto or a number .* got {wrong}"):
            checked_devices(wrong)


@pytest.mark.once
def test_which_backend_needs_processes(monkeypatch):
    assert needs_processes(None, "torch") == needs_processes(1, "torch") == needs_processes(4, "jax") == 0
    assert needs_processes(3, "torch") == 3
    monkeypatch.setattr("contrast.distribution.gpu_count", lambda: 2)
    assert needs_processes("auto", "torch") == 2
    monkeypatch.setenv("RANK", "1")
    assert needs_processes(3, "torch") == 0


@pytest.mark.once
def test_the_command_of_each_process(monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr("contrast.distribution.launch", lambda *given: called.append(given) or 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    request = {"task": "schemes", "paper": None, "data": None, "seed": 5, "epochs": 2}
    assert train_in_processes(request, tmp_path, True, 3) == 0
    ((command, processes),) = called
    assert processes == 3
    expected = ["train", "schemes", "--resume", "--seed", "5", "--epochs", "2"]
    assert command[-len(expected) - 4 :] == [*expected, "--output", str(tmp_path), "--distribute", "3"]


class Found:
    """Stands for the replicas of a process."""

    def __init__(self, index):
        self.index, self.prepared = index, []

    def prepare(self, model):
        self.prepared.append(model)
        return model

    def batches(self, batches, drop_rows):
        return ReplicaBatches(batches, self.index, 2)


@pytest.mark.once
def test_only_the_first_process_writes_into_the_folder(tmp_path):
    import keras

    from contrast.data.batches import ArrayBatches

    class Rows(ArrayBatches):
        def __getitem__(self, index):
            rows = self.arrays["x"][self.rows(index)]
            return rows, rows[:, :1]

    def train(index, epochs, resume):
        run = distributed.run_folder(tmp_path / "run", Found(index), resume)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        data = Rows({"x": np.ones((8, 2), "float32")}, batch_size=4)
        history = run.fit(model, data, epochs=epochs, verbose=0)
        assert run.replicas.prepared == [model]
        return run, history["loss"]

    first, _ = train(0, 1, resume=False)
    first.write_config("task", "paper", 0, "torch", {})
    assert first.has_checkpoint
    del first
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    follower, losses = train(1, 3, resume=True)
    assert len(losses) == 3 and follower.path.parent != tmp_path
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    folder = follower.path
    follower._own.cleanup()
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "backend", "file"),
    [
        ("schemes", "tensorflow", "encoder.keras"),
        ("schemes", "jax", "encoder.keras"),
        ("schemes", "torch", "encoder.keras"),
        ("metric_learning", "tensorflow", "pictures.index"),
        ("anomaly_detection", "tensorflow", "model.keras"),  # several steps in one call
        ("face_naming", "tensorflow", "model.keras"),  # masks among the inputs
    ],
)
def test_it_trains_on_two_devices(task, backend, file, tmp_path):
    pytest.importorskip(backend)
    image = pytest.importorskip("PIL.Image")
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), "uint8")
        folder = tmp_path / "photos" / ("even" if index % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(folder / f"{index}.png")
    run = tmp_path / "run"
    command = [*COMMAND, "train", task, "--epochs", "1"]
    if task != "face_naming":  # which wants captions
        command += ["--data", tmp_path / "photos"]
    settings = {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--output", run, "--distribute", "2"],
        env={**os.environ, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Done.") == 1
    assert {"model.keras", file, "finished.json", "config.json"} <= {path.name for path in run.iterdir()}
    assert np.isfinite(json.loads((run / "history.json").read_text())["loss"]).all()
    if file == "pictures.index":
        assert len(EmbeddingIndex.load(run / file)) == 6


@pytest.mark.once
def test_the_launcher_knows_each_backend():
    environment = launcher.process_environment(["127.0.0.1:1", "127.0.0.1:2"], 1)
    assert json.loads(environment["TF_CONFIG"])["task"] == {"type": "worker", "index": 1}
    assert environment["RANK"] == environment["KERAS_DISTRIBUTION_PROCESS_ID"] == "1"
    assert environment["WORLD_SIZE"] == environment["KERAS_DISTRIBUTION_NUM_PROCESSES"] == "2"
