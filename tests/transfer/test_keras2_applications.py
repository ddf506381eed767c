"""The encoders of tf_keras.applications, converted by a process of each backend."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tf_keras as keras2

pytestmark = pytest.mark.once

SIDE = 32
ENCODERS = {
    "MobileNetV2": {"alpha": 0.35},
    "ResNet50": {},
    "EfficientNetB0": {},
}
CONVERT = """
import sys
import numpy as np
from contrast.transfer import load_keras2

for name in sys.argv[2:]:
    encoder = load_keras2(f"{sys.argv[1]}/{name}.h5", verify=name == "MobileNetV2")
    case = np.load(f"{sys.argv[1]}/{name}.npz")
    difference = np.abs(encoder.predict(case["images"], verbose=0) - case["expected"]).max()
    print(name, difference / (10 * case["rounding"] + 1e-5 * np.abs(case["expected"]).max()))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of the encoders, with statistics of data so that the images matter, and their outputs."""
    folder = tmp_path_factory.mktemp("encoders")
    images = np.random.default_rng(0).normal(size=(8, SIDE, SIDE, 3)).astype("float32")
    for name, arguments in ENCODERS.items():
        make = getattr(keras2.applications, name)
        encoder = make(
            input_shape=(SIDE, SIDE, 3), weights=None, include_top=False, pooling="avg", **arguments
        )
        momenta = {}
        for layer in encoder.layers:
            if isinstance(layer, keras2.layers.BatchNormalization):
                momenta[layer], layer.momentum = layer.momentum, 0.0
                layer.gamma.assign(np.random.default_rng(1).uniform(0.5, 1.5, layer.gamma.shape))
                layer.beta.assign(np.random.default_rng(2).normal(0, 0.1, layer.beta.shape))
        encoder(images, training=True)
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        expected = encoder(images, training=False).numpy()
        assert np.ptp(expected, axis=0).max() > 0.1 * np.abs(expected).max(), "images hardly matter"
        encoder.save(folder / f"{name}.h5")
        # These networks amplify rounding: what the next float32 as input does to the outputs.
        rounding = np.abs(
            encoder(np.nextafter(images, np.float32(9)), training=False).numpy() - expected
        ).max()
        np.savez(folder / f"{name}.npz", images=images, expected=expected, rounding=rounding)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_equal_outputs(folder, backend):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", CONVERT, str(folder), *ENCODERS]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    differences = dict(line.split() for line in run.stdout.splitlines() if line.startswith(tuple(ENCODERS)))
    assert set(differences) == set(ENCODERS)
    assert all(float(difference) < 1 for difference in differences.values()), differences
