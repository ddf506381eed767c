"""Trained models of the demos: kept on disk, taken from there at the next start."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
from tqdm import tqdm

from applications.files import json_text, write_text
from contrast.data.files import whole_file

logger = logging.getLogger("contrast")


def cache_folder() -> Path:
    """Where trained demo models are kept: `CONTRAST_CACHE`, or `~/.cache/keras-contrast`."""
    chosen = os.environ.get("CONTRAST_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "keras-contrast"


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
    logger.info("The trained model comes from %s; delete that folder to train again.", folder)
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
    """One progress bar in the terminal over all epochs.

    Args:
        text: what stands beside the bar after each epoch, with the logs as fields: `"loss {loss:.2f}"`.
    """

    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def on_train_begin(self, logs=None):
        total = self.params["epochs"] * self.params["steps"]
        self.bar = tqdm(total=total, unit="step", desc="Training", dynamic_ncols=True)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix_str(self.text.format(**logs))

    def on_train_end(self, logs=None):
        self.bar.close()


class BarredRun:
    """In the place of a run folder: trains stages in memory, each with a bar in the terminal.

    Args:
        texts: for each stage what stands beside its bar, see `TrainingBar`.
    """

    def __init__(self, texts: Mapping[str, str]):
        self.texts = texts

    def fit(self, model, batches, *, stage, callbacks, verbose, **options):
        """As `applications.runs.RunFolder.fit`, without checkpoints."""
        bar = TrainingBar(self.texts[stage])
        return model.fit(batches, callbacks=[*callbacks, bar], verbose=0, **options).history


def curves_of(model: keras.Model, names: Sequence[str]) -> dict[str, list[float]]:
    """Curves of a model's last `fit`, as the cache keeps them."""
    return {name: [float(value) for value in model.history.history[name]] for name in names}


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.weights.h5", folder / f"{name}.json"
