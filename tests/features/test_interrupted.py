"""Real processes that are killed, or that compute the same features at once."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from contrast.features import cached_features, open_features
from tests.case import assert_close

pytestmark = pytest.mark.slow

PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.features import test_interrupted
print("ready", flush=True)
sys.stdin.readline()
features = test_interrupted.compute(sys.argv[2], float(sys.argv[3]))
print(features.sum())
"""


def make_encoder():
    import keras

    dense = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed=0))
    return keras.Sequential([keras.Input((3,)), dense])


ROWS = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")


class Slow:
    """Rows as they are, after a while."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, rows):
        time.sleep(self.seconds)
        return rows


def compute(folder, seconds=0.0):
    slow = Slow(seconds)
    return cached_features(make_encoder(), ROWS, folder, preprocess=slow, version="slow", batch_size=4)


def start(folder, seconds):
    # Another hash seed in each process: a digest must not depend on the order of sets.
    command = [sys.executable, "-c", PROGRAM, os.getcwd(), str(folder), str(seconds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process):
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


def test_after_sigkill_the_next_call_begins_anew(tmp_path):
    process = start(tmp_path, 0.2)
    go(process)
    limit = time.monotonic() + 120
    while not [path for path in tmp_path.glob(".part-*/0.npy") if path.stat().st_size > 400]:
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.name[:6] for path in tmp_path.iterdir()] == [".part-"]
    with pytest.raises(FileNotFoundError, match="no complete features"):
        open_features(tmp_path, make_encoder())
    features = compute(tmp_path)
    assert_close(features, make_encoder().predict(ROWS, verbose=0))
    assert [path.name[:1] == "." for path in tmp_path.iterdir()] == [False]


def test_two_processes_at_once_agree_with_a_third(tmp_path):
    processes = [start(tmp_path, 0.05) for _ in range(2)]
    for process in processes:
        go(process)
    sums = [float(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 1
    before = os.stat(next(tmp_path.glob("*/0.npy"))).st_mtime_ns
    features = compute(tmp_path, 60.0)  # would take minutes if it encoded
    assert os.stat(next(tmp_path.glob("*/0.npy"))).st_mtime_ns == before
    assert sums == pytest.approx([float(features.sum())] * 2)
