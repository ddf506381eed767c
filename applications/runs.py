"""The folder that a training run leaves behind."""

import csv
import io
import logging
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


def default_path(task: str, parent: Path = Path("runs")) -> Path:
    """`runs/<task>-<date>-<time>`, with a number at the end if that exists already."""
    path = parent / f"{task}-{datetime.now():%Y%m%d-%H%M%S}"
    number = 2
    while path.exists():
        path = path.with_name(f"{path.name.split('.')[0]}.{number}")
        number += 1
    return path


class RunFolder:
    """A folder for one run: `config.json`, `history.csv`, `history.json`, `curves.png` and `model.keras`.

    Every file is whole or absent. `finished.json`, the last one, marks a run that came to its end.

    Args:
        path: the folder; it is made if need be. What an earlier attempt left that came to no result is
            written over.

    Raises:
        ValueError: if the folder cannot be written, or holds anything that would be lost.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / ".writable").touch()
            (self.path / ".writable").unlink()
        except OSError as error:
            raise ValueError(
                f"output must be a folder that can be written, got {self.path}: {error}"
            ) from error
        if (self.path / FINISHED).exists():
            raise ValueError(f"output must be a new folder: {self.path} holds a finished run")
        if any(entry.name not in (CONFIG, FAILURE) for entry in self.path.iterdir()):
            raise ValueError(f"output must be a new or an empty folder: {self.path} holds other files")
        (self.path / FAILURE).unlink(missing_ok=True)
        self._started = time.monotonic()
        self._history: dict[str, list[float]] = {}

    def write_config(self, task: str, paper: str, seed: int, backend: str, arguments: Mapping) -> None:
        """Writes what the run was asked to do, and the versions that it runs on."""
        config = {
            "task": task,
            "paper": paper,
            "seed": seed,
            "backend": backend,
            "versions": versions(backend),
            "arguments": dict(arguments),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        write_text(self.path / CONFIG, json_text(config))

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
        panels = list(dict.fromkeys(name.removeprefix("val_") for name in self._history))
        if not panels:
            return
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for axis, panel in zip(axes, panels, strict=False):
            for name, label in ((panel, "training"), (f"val_{panel}", "validation")):
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
        """Marks the run as finished: nothing writes into the folder any more."""
        last = {name: values[-1] for name, values in self._history.items() if values}
        result = {"seconds": round(time.monotonic() - self._started, 1), "last": last}
        write_text(self.path / FINISHED, json_text(result))
