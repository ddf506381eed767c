"""An experiment of no time, by path, for processes that must import it."""

import os
from pathlib import Path

from applications.claims import Arm, ArmResult, Claim


def claims():
    return [Claim("toys", "toy", "dots", "accuracy", [Arm("one", _train), Arm("two", _train)])]


def _train(seed, fast):
    """Fails for seed 1 while the file that TOY_FAILURE names exists."""
    if seed == 1 and Path(os.environ["TOY_FAILURE"]).exists():
        raise RuntimeError("no more power")
    return ArmResult({"accuracy": float(seed), "process": float(os.getpid())})
