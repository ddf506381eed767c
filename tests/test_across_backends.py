"""Weights saved under each backend give the same outputs under the other two."""

import os
import subprocess
import sys

import numpy as np
import pytest

BACKENDS = ("tensorflow", "jax", "torch")
PROGRAM = """
import sys
import keras
import numpy as np
from applications.face_naming import SECLA, PhotoBatches, digit_photos
from contrast.encoders import ConvNet
from contrast.layers import FoldViews, ProjectionHead

folder, mine, *others = sys.argv[1:]
photos = PhotoBatches(digit_photos(count=6), batch_size=6, shuffle=False)
images = np.random.default_rng(0).random((4, 2, 16, 16, 3)).astype("float32")


def make():
    views = keras.Input(images.shape[1:])
    embeddings = ProjectionHead((8, 4), batch_norm=True, normalize=True)(FoldViews(ConvNet((4, 8)))(views))
    model = keras.Model(views, embeddings)
    return {"secla": (SECLA.small(photos, temperature="learned"), photos[0]), "views": (model, images)}


def outputs(model, inputs):
    return {str(i): x for i, x in enumerate(keras.tree.flatten(model.predict(inputs, verbose=0)))}


for name, (model, inputs) in make().items():
    if not others:
        if name == "views":  # moving statistics that are not the initial ones
            model.compile("sgd", "mse")
            model.fit(inputs, np.zeros((4, 2, 4)), verbose=0)
        model.save_weights(f"{folder}/{name}-{mine}.weights.h5")
        np.savez(f"{folder}/{name}-{mine}.npz", **outputs(model, inputs))
    for other in others:
        model.load_weights(f"{folder}/{name}-{other}.weights.h5")
        np.savez(f"{folder}/{name}-{other}-under-{mine}.npz", **outputs(model, inputs))
"""


def run(folder, backend, *others):
    environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), backend, *others],
        check=True,
        env=environment,
        timeout=300,
    )


@pytest.mark.slow
def test_weights_of_each_backend_under_the_others(tmp_path):
    for package in ("jax", "torch", "mlxtend"):
        pytest.importorskip(package)
    for backend in BACKENDS:
        run(tmp_path, backend)
    for backend in BACKENDS:
        run(tmp_path, backend, *(other for other in BACKENDS if other != backend))
    compared = 0
    for path in tmp_path.glob("*-under-*.npz"):
        with np.load(path) as actual, np.load(tmp_path / f"{path.stem.split('-under-')[0]}.npz") as expected:
            for name in expected.files:
                np.testing.assert_allclose(actual[name], expected[name], rtol=1e-5, atol=1e-5)
                compared += 1
    assert compared == 6 * (2 + 1)
