"""The folder that a training run leaves behind."""

import csv
import io
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from applications.environment import versions
from applications.files import json_text, write_text

if TYPE_CHECKING:
    import keras

logger = logging.getLogger("contrast")

CONFIG, FINISHED, FAILURE = "config.json", "finished.json", "error.txt"
HISTORY_TABLE, HISTORY, CURVES, MODEL = "history.csv", "history.json", "curves.png", "model.keras"
CHECKPOINTS, LOCK = "checkpoint*.npz", ".lock"
# what a process that was killed while it wrote leaves of a file of ours
HALF_WRITTEN = re.compile(
    r"\.\d+-(config\.json|finished\.json|error\.txt|history\.\w+|curves\.png|model\.keras|checkpoint.*\.npz)"
)


def default_path(task: str, parent: Path = Path("runs")) -> Path:
    """`runs/<task>-<date>-<time>`, with a number at the end if that exists already."""
    path = parent / f"{task}-{datetime.now():%Y%m%d-%H%M%S}"
    number = 2
    while path.exists():
        path = path.with_name(f"{path.name.split('.')[0]}.{number}")
        number += 1
    return path


def is_finished(path: str | Path) -> bool:
    """Whether the folder holds a run that came to its end."""
    return (Path(path) / FINISHED).exists()


def _now() -> str:
    """Date and time with the zone, as ISO 8601 writes them."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def last_logged(model: "keras.Model", name: str, default: float = 0.0) -> float:
    """The value of a metric after the last epoch, which may lie before an interruption; or the default."""
    history = getattr(model, "history", None)  # there is none before the first `fit`
    known = history.history.get(name) if history is not None else None
    return known[-1] if known else default


class StageFit:
    """Trains the compiled models of several stages, in a run folder if there is one.

    Args:
        run: a `RunFolder`, in which each stage can be resumed, or anything with its `fit`; `None`: nothing is
            written.
        verbose: of `fit`.

    Call: a compiled model, its batches (a `keras.utils.PyDataset`), the name of the stage, the number of
        epochs, callbacks, and further arguments of `fit`.
    """

    def __init__(self, run: "RunFolder | None" = None, verbose: int | str = 0):
        self.run, self.verbose = run, verbose

    def __call__(self, model, batches, stage, epochs, callbacks=(), **options) -> None:
        options |= {
            "epochs": epochs,
            "callbacks": list(callbacks),
            "verbose": self.verbose,
            "shuffle": False,
        }
        if self.run is None:
            model.fit(batches, **options)
        else:
            self.run.fit(model, batches, stage=stage, **options)


class RunFolder:
    """A folder for one run: `config.json`, `history.csv`, `history.json`, `curves.png` and `model.keras`.

    Every file is whole or absent. `finished.json`, the last one, marks a run that came to its end. Until then
    there is a `checkpoint.npz` of each stage that `fit` has trained, from which an interrupted run goes on.

    Args:
        path: the folder; it is made if need be. What an earlier attempt left that came to no result is
            written over.
        resume: go on with the interrupted run that the folder holds.

    Raises:
        ValueError: if the folder cannot be written, is in use by another process, or holds anything that
            would be lost; with `resume`, if it holds no run, or a finished one.
    """

    def __init__(self, path: str | Path, resume: bool = False):
        self.path = Path(path)
        self._started = time.monotonic()
        self._history: dict[str, list[float]] = {}
        self._stages: list[str | None] = []
        if resume and not (self.path / CONFIG).exists():
            raise ValueError(f"There is no run to resume in {self.path}: it holds no {CONFIG}.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / ".writable").touch()
            (self.path / ".writable").unlink()
        except OSError as error:
            raise ValueError(
                f"output must be a folder that can be written, got {self.path}: {error}"
            ) from error
        if is_finished(self.path):
            raise ValueError(f"output must be a new folder: {self.path} holds a finished run")
        left = [entry for entry in self.path.iterdir() if HALF_WRITTEN.fullmatch(entry.name)]
        others = {entry.name for entry in self.path.iterdir()} - {CONFIG, FAILURE, LOCK}
        if not resume and self.has_checkpoint:
            raise ValueError(
                f"output must be a new folder: {self.path} holds an interrupted run; --resume goes on with it"
            )
        if not resume and others - {entry.name for entry in left}:
            raise ValueError(f"output must be a new or an empty folder: {self.path} holds other files")
        self._lock()
        for entry in [*left, self.path / FAILURE]:
            entry.unlink(missing_ok=True)

    def _lock(self) -> None:
        """Keeps other processes out until this one ends, however it ends."""
        try:
            import fcntl
        except ImportError:  # on Windows
            return
        self._lock_file = (self.path / LOCK).open("w")
        try:
            fcntl.lockf(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{self.path} is in use: another process trains there") from error
        except OSError as error:
            logger.info("The file system of %s has no locks: %s.", self.path, error)

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is something to go on from."""
        return any(self.path.glob(CHECKPOINTS))

    def read_config(self) -> dict:
        """What `write_config` wrote.

        Raises:
            ValueError: if that is not there, or not what it was.
        """
        try:
            config = json.loads((self.path / CONFIG).read_text(encoding="utf-8"))
            expected = {"task", "paper", "seed", "backend", "versions", "arguments"}
            if not isinstance(config, dict) or expected - config.keys():
                raise ValueError(f"it must hold {', '.join(sorted(expected))}")
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path / CONFIG} cannot be read: {error}") from error
        return config

    def write_config(self, task: str, paper: str, seed: int, backend: str, arguments: Mapping) -> None:
        """Writes what the run was asked to do, and the versions that it runs on."""
        config = {
            "task": task,
            "paper": paper,
            "seed": seed,
            "backend": backend,
            "versions": versions(backend),
            "arguments": dict(arguments),
            "started": _now(),
        }
        write_text(self.path / CONFIG, json_text(config))

    def write_resumption(self, backend: str) -> None:
        """Adds to `config.json` that the run goes on, and warns if it does so on other versions."""
        config, now = self.read_config(), versions(backend)
        before = config.get("resumed", [config])[-1]["versions"]
        if now != before:
            logger.warning(
                "The run was begun with %s and goes on with %s: its weights may not be the very same.",
                *(", ".join(f"{name} {version}" for name, version in some.items()) for some in (before, now)),
            )
        resumed = [*config.get("resumed", []), {"at": _now(), "backend": backend, "versions": now}]
        write_text(self.path / CONFIG, json_text({**config, "resumed": resumed}))

    def fit(
        self,
        model: "keras.Model",
        data: "keras.utils.PyDataset",
        *,
        epochs: int,
        stage: str | None = None,
        callbacks: Sequence["keras.callbacks.Callback"] = (),
        **options,
    ) -> dict[str, list[float]]:
        """Trains one stage of the run, or what an interruption left of it, and writes the curves.

        A function `train` whose stages are trained here can be resumed: called again from the start, it makes
        data and models anew, this puts back the state of the last checkpoint (see
        `contrast.callbacks.TrainingCheckpoint`), and trains the epochs that are missing. A stage that came to
        its end is not trained again. What `train` does besides must be a function of its seed and arguments.

        Args:
            model: a compiled model, made as it was the first time.
            data: what it is trained on, likewise.
            epochs: as for `fit`.
            stage: a name for the checkpoint and, before a slash, the curves; needed if there are several.
            callbacks: as for `fit`; not called for a stage that was finished before.
            **options: further arguments of `fit`.

        Returns:
            The history of all epochs, also `model.history.history`.

        Raises:
            ValueError: if the stage was trained in this run already, its checkpoint is of another model, data
                or more epochs, or `steps_per_epoch` is given, with which epochs have no end to resume from.
            TypeError: if `data` is no `keras.utils.PyDataset`.
        """
        import keras

        from contrast.callbacks import TrainingCheckpoint

        if not isinstance(data, keras.utils.PyDataset):
            raise TypeError(f"data must be a keras.utils.PyDataset, got {type(data).__name__}.")
        if "steps_per_epoch" in options:
            raise ValueError("steps_per_epoch cannot be given to a run; let the data have that many batches.")
        if stage in self._stages:
            raise ValueError(f"stage must be another name than those before, got {stage!r} again.")
        self._stages.append(stage)
        checkpoint = TrainingCheckpoint(
            self.path / CHECKPOINTS.replace("*", f"-{stage}" if stage else ""), data
        )
        start = checkpoint.initial_epoch
        if start > epochs:
            raise ValueError(f"epochs must be at least the {start} in {checkpoint.path}, got {epochs}.")
        if checkpoint.stopped or start == epochs:
            epochs, callbacks = start, ()
        elif start:
            logger.info("Going on after epoch %d of %d%s.", start, epochs, f" ({stage})" if stage else "")
        callbacks = [*callbacks, checkpoint]
        history = model.fit(data, epochs=epochs, initial_epoch=start, callbacks=callbacks, **options).history
        prefix = f"{stage}/" if stage else ""
        try:
            self.write_history(
                {**self._history, **{prefix + name: values for name, values in history.items()}}
            )
        except OSError as error:
            logger.warning("The curves could not be written to %s: %s", self.path, error)
        return history

    @property
    def has_history(self) -> bool:
        """Whether the curves of this run were written."""
        return bool(self._history)

    def write_history(self, history: Mapping[str, Sequence[float]]) -> None:
        """Writes the curves of the training as table, as JSON and as a picture.

        Args:
            history: for each metric its value per epoch, as `keras.callbacks.History.history`.
        """
        self._history = {name: [float(value) for value in values] for name, values in history.items()}
        write_text(self.path / HISTORY, json_text(self._history))
        epochs = max((len(values) for values in self._history.values()), default=0)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["epoch", *self._history])
        for epoch in range(epochs):
            row = [values[epoch] if epoch < len(values) else "" for values in self._history.values()]
            writer.writerow([epoch + 1, *row])
        write_text(self.path / HISTORY_TABLE, table.getvalue())
        self._draw_curves()

    def _draw_curves(self) -> None:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            logger.warning("No %s: matplotlib is not installed (pip install 'keras-contrast[demo]').", CURVES)
            return
        # a stage's name may stand before: "first/val_loss" goes with "first/loss"
        panels = list(dict.fromkeys(re.sub(r"^(.*/)?val_", r"\1", name) for name in self._history))
        if not panels:
            return
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for axis, panel in zip(axes, panels, strict=False):
            validation = re.sub(r"^(.*/)?", r"\1val_", panel, count=1)
            for name, label in ((panel, "training"), (validation, "validation")):
                if name in self._history:
                    values = self._history[name]
                    marker = "." if len(values) < 30 else ""
                    axis.plot(range(1, len(values) + 1), values, label=label, marker=marker)
            axis.set(title=panel, xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend()
        for axis in list(figure.axes)[len(panels) :]:
            axis.remove()
        from contrast.data.files import whole_file

        with whole_file(self.path / CURVES) as temporary:
            figure.savefig(temporary, dpi=120)

    def save_model(self, model: "keras.Model") -> None:
        """Saves architecture, weights and optimizer; `keras.saving.load_model` reads them."""
        from contrast.data.files import whole_file

        with whole_file(self.path / MODEL) as temporary:
            model.save(temporary)

    def write_failure(self, text: str) -> Path:
        """Keeps the traceback of a run that failed, and says where."""
        write_text(self.path / FAILURE, text)
        return self.path / FAILURE

    def finish(self) -> None:
        """Marks the run as finished: nothing writes into the folder any more, and checkpoints go."""
        last = {name: values[-1] for name, values in self._history.items() if values}
        result = {"seconds": round(time.monotonic() - self._started, 1), "last": last}
        write_text(self.path / FINISHED, json_text(result))
        for entry in [*self.path.glob(CHECKPOINTS), self.path / LOCK]:
            entry.unlink(missing_ok=True)
