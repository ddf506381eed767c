"""Trained models of the demos: kept on disk, taken from there at the next start."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import keras
from tqdm import tqdm

from applications.cache_folder import cache_folder
from applications.files import json_text, write_text
from contrast.data.files import whole_file

__all__ = [
    "BarredRun",
    "Progress",
    "TrainingBar",
    "cache_folder",
    "cache_name",
    "curves_of",
    "read_cached",
    "trainings_watched",
    "write_cached",
]

logger = logging.getLogger("contrast")


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Args:
        done: steps of this stage so far.
        total: steps of this stage in all.
        stage: number of the stage, from 1 on.
        stages: how many there are.
        text: what stands beside the bar; `""` before the first epoch has ended.
    """

    done: int
    total: int
    stage: int = 1
    stages: int = 1
    text: str = ""


_watcher: ContextVar[Callable[[Progress], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def trainings_watched(tell: Callable[[Progress], None]) -> Iterator[None]:
    """In the block, and in this thread alone, `tell` hears of every step of a training that has a bar."""
    before = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(before)


def cache_name(task: str, **recipe) -> str:
    """A name for what `recipe`, values that JSON can hold, gives in this version.

    Example:

    >>> from applications.demo_cache import cache_name
    >>> cache_name("digits", epochs=2) == cache_name("digits", epochs=3)
    False
    """
    version = importlib.metadata.version("keras-contrast")
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return f"{task}-{version}-{digest[:12]}"


def read_cached(
    folder: Path, name: str, model: keras.Model, curves: Sequence[str]
) -> dict[str, list[float]] | None:
    """Loads the weights of a built model.

    Args:
        folder: of the cache.
        name: as `cache_name` gives it.
        model: what the weights are loaded into.
        curves: what the history must hold.

    Returns:
        The history of the training; `None` without a whole record of weights and history, of which a warning
        says why, unless there is none at all.
    """
    weights, record_path = _paths(folder, name)
    try:
        record = json.loads(record_path.read_text(encoding="utf-8"))
        if hashlib.sha256(weights.read_bytes()).hexdigest() != record["sha256"]:
            raise ValueError("its weights are damaged")
        history = {curve: [float(value) for value in record["history"][curve]] for curve in curves}
        model.load_weights(weights)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("The model in %s cannot be used (%s); it is trained again.", folder, error)
        return None
    logger.info("The trained model comes from %s; `contrast demo --clear-cache` empties it.", folder)
    return history


def write_cached(folder: Path, name: str, model: keras.Model, history: Mapping[str, Sequence[float]]) -> None:
    """Keeps weights and history; a folder that cannot be written costs a warning.

    The record comes last, with the digest of the weights: half a cache is never taken for a whole one.
    """
    weights, record_path = _paths(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(weights) as temporary:
            model.save_weights(temporary)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        write_text(record_path, json_text({"sha256": digest, "history": history}))
    except OSError as error:
        logger.warning("The trained model cannot be kept in %s: %s", folder, error)
        return
    logger.info("The trained model is kept in %s; the next start takes it from there.", folder)


class TrainingBar(keras.callbacks.Callback):
    """One progress bar over all epochs: in the terminal, and for whoever watches (`trainings_watched`).

    Args:
        text: what stands beside the bar after each epoch, with the logs as fields: `"loss {loss:.2f}"`.
        stage: number of the stage that is trained, from 1 on.
        stages: how many there are.
    """

    def __init__(self, text: str, stage: int = 1, stages: int = 1):
        super().__init__()
        self.text, self.stage, self.stages = text, stage, stages
        self.told = ""

    def on_train_begin(self, logs=None):
        total = self.params["epochs"] * self.params["steps"]
        self.bar = tqdm(total=total, unit="step", desc="Training", dynamic_ncols=True)
        self._tell()

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()
        self._tell()

    def on_epoch_end(self, epoch, logs=None):
        self.told = self.text.format(**logs)
        self.bar.set_postfix_str(self.told)
        self._tell()

    def on_train_end(self, logs=None):
        self.bar.close()

    def _tell(self):
        tell = _watcher.get()
        if tell is not None:
            tell(Progress(int(self.bar.n), self.bar.total, self.stage, self.stages, self.told))


class BarredRun:
    """In the place of a run folder: trains stages in memory, each with a bar.

    Args:
        texts: for each stage, in their order, what stands beside its bar, see `TrainingBar`.
    """

    def __init__(self, texts: Mapping[str, str]):
        self.texts = texts

    def fit(self, model, batches, *, stage, callbacks, verbose, **options):
        """As `applications.runs.RunFolder.fit`, without checkpoints."""
        place = list(self.texts).index(stage) + 1
        bar = TrainingBar(self.texts[stage], place, len(self.texts))
        return model.fit(batches, callbacks=[*callbacks, bar], verbose=0, **options).history


def curves_of(model: keras.Model, names: Sequence[str]) -> dict[str, list[float]]:
    """Curves of a model's last `fit`, as the cache keeps them."""
    return {name: [float(value) for value in model.history.history[name]] for name in names}


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.weights.h5", folder / f"{name}.json"
