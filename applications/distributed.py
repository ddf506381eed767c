"""`contrast train --distribute`: one training on several devices of this machine."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from applications.environment import load_keras
from applications.runs import CHECKPOINTS, CONFIG, RunFolder

if TYPE_CHECKING:
    import keras

    from contrast.distribution import Replicas

AUTO = "auto"


def checked_devices(distribute: str | None) -> str | int | None:
    """`"auto"`, a number, or `None` where nothing is to be distributed.

    Raises:
        ValueError: if it is none of these.
    """
    if distribute is None:
        return None
    if distribute != AUTO and (not distribute.isdecimal() or int(distribute) < 1):
        raise ValueError(f"--distribute must be {AUTO} or a number of devices from 1, got {distribute}.")
    return AUTO if distribute == AUTO else int(distribute)


def needs_processes(devices: str | int | None, backend: str) -> int:
    """How many processes have to be started; 0 where this one trains.

    PyTorch has a process for each device; those that were started already train.
    """
    if devices is None or backend != "torch" or "RANK" in os.environ:
        return 0
    if devices == AUTO:
        from contrast.distribution import gpu_count

        devices = gpu_count()
    return devices if devices > 1 else 0


def train_in_processes(request: Mapping, output: Path, resume: bool, processes: int) -> int:
    """Runs `contrast train` in several processes, of which the first one writes and speaks.

    Args:
        request: task and options of the command.
        output, resume: its options, too.
        processes: how many.

    Returns:
        The exit status; an error of one process ends all.
    """
    from contrast.distribution import launch

    options = {**request, "output": output, "distribute": processes}
    arguments = [options.pop("task"), *(["--resume"] if resume else [])]
    for name, value in options.items():
        arguments += [] if value is None else [f"--{name}", str(value)]
    # The processes share the processors of the machine.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    program = "from applications.cli import main; main()"
    return launch([sys.executable, "-c", program, "train", *arguments], processes)


def begin(devices: str | int | None, backend: str) -> "Replicas | None":
    """Takes the devices, before anything is computed; `None` where nothing is to be distributed.

    Raises:
        ValueError: if there are not so many devices.
    """
    if devices is None:
        return None
    load_keras()  # quietly
    from contrast.distribution import start

    return start(AUTO if backend == "torch" else devices)


def scope_of(replicas: "Replicas | None") -> AbstractContextManager[None]:
    """The context in which a training is distributed over the replicas, if there are any."""
    return nullcontext() if replicas is None else replicas.scope()


def run_folder(path: Path, replicas: "Replicas | None", resume: bool = False) -> RunFolder:
    """The folder of a run, whose models are trained on the replicas."""
    if replicas is None:
        return RunFolder(path, resume)
    return (DistributedRun if replicas.index == 0 else Follower)(path, replicas, resume)


class DistributedRun(RunFolder):
    """A run folder whose `fit` trains on all replicas.

    Args:
        path, resume: as for `RunFolder`.
        replicas: of `contrast.distribution.start`.
    """

    def __init__(self, path: Path, replicas: "Replicas", resume: bool = False):
        super().__init__(path, resume)
        self.replicas = replicas

    def fit(self, model: "keras.Model", data: "keras.utils.PyDataset", **options) -> dict[str, list[float]]:
        """As `RunFolder.fit`; `data` are the batches of all replicas together."""
        batches = self.replicas.batches(data, drop_rows=True)
        return super().fit(self.replicas.prepare(model), batches, **options)


class Follower(DistributedRun):
    """The run folder of a process beside the first: what it writes is in a folder of its own, and then gone.

    Args:
        path: the folder of the run, from which an interrupted one goes on.
        replicas, resume: as for `DistributedRun`.
    """

    def __init__(self, path: Path, replicas: "Replicas", resume: bool = False):
        self._own = tempfile.TemporaryDirectory(prefix="contrast-follower-")
        if resume:
            for file in (path / CONFIG, *path.glob(CHECKPOINTS)):
                shutil.copy(file, self._own.name)
        super().__init__(Path(self._own.name), replicas, resume)
