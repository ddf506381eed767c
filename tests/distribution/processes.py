"""Programs in processes of their own, on the backend that is asked for."""

from pathlib import Path

import pytest

from contrast.distribution import launch

ROOT = Path(__file__).resolve().parents[2]


def launched(backend, command, processes):
    """The status of the command in so many processes, with one thread each and no chatter."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }.items():
            patch.setenv(name, value)
        patch.chdir(ROOT)
        return launch(command, processes)
