"""Real processes that find each other on the loopback."""

import os
import subprocess
import sys
import time

import pytest

from contrast.distribution import launch
from contrast.distribution.launcher import process_environment
from tests.distribution.processes import ROOT, launched
from tests.distribution.test_same_as_one_device import assert_same, load, said

FAILS = "import os, sys, time; sys.exit(3) if os.environ['RANK'] == '1' else time.sleep(600)"
IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FAILS
SHOWS = "import json, os; assert len(json.loads(os.environ['TF_CONFIG'])['cluster']['worker']) == 2"


@pytest.mark.once
@pytest.mark.parametrize("program", [FAILS, IGNORES])
def test_one_that_fails_stops_the_others(program):
    begun = time.monotonic()
    assert launch([sys.executable, "-c", program], 2, grace=1.0) == 3
    assert time.monotonic() - begun < 300


@pytest.mark.once
def test_one_that_is_killed_stops_the_others():
    program = "import os, time; os.environ['RANK'] == '1' and os.kill(os.getpid(), 9); time.sleep(600)"
    assert launch([sys.executable, "-c", program], 2) == 128 + 9


@pytest.mark.once
def test_all_end_well():
    assert launch([sys.executable, "-c", SHOWS], 2) == 0
    with pytest.raises(ValueError, match="processes must be at least 1, got 0"):
        launch([sys.executable, "-c", SHOWS], 0)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "devices", "count"), [("tensorflow", "auto", 2), ("jax", "2", 4)])
def test_two_processes_train_as_one_device(backend, devices, count, tmp_path):
    pytest.importorskip(backend)
    program = [sys.executable, "-m", "tests.distribution.program", str(tmp_path), devices, "MoCoV2"]
    for processes in (1, 2):
        assert launched(backend, program, processes) == 0
    for index in range(2):
        found = said(tmp_path, index)
        assert (found["processes"], found["index"], found["count"]) == (2, index, count)
    one, many, other = (load(tmp_path / f"MoCoV2-{kind}.npz") for kind in ("one-0", "many-0", "many-1"))
    assert_same(one, many)
    assert_same(many, other, 1e-7)


@pytest.mark.slow
def test_a_worker_that_dies_stops_the_training():
    pytest.importorskip("torch")
    assert launched("torch", [sys.executable, "-m", "tests.distribution.dies"], 2) == 7


@pytest.mark.slow
def test_a_worker_whose_peer_dies_ends_with_an_error_by_itself():
    """As on several hosts, where nothing watches the processes together."""
    pytest.importorskip("torch")
    addresses = [f"127.0.0.1:{port}" for port in (_free_port(), _free_port())]
    settings = {"KERAS_BACKEND": "torch", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-m", "tests.distribution.dies"],
            env={**os.environ, **settings, **process_environment(addresses, index)},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    )
    try:
        assert second.wait(300) == 7
        _, errors = first.communicate(timeout=120)
        assert first.returncode not in (0, None)
        assert "RuntimeError" in errors or "DistBackendError" in errors
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def _free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
