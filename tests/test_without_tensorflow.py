"""On JAX and PyTorch the library works where TensorFlow is not installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        absent = name.partition(".")[0] in ("tensorflow", "tf_keras", "keras_hub", "tensorflow_text")
        return None if absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)

import contrast.losses, contrast.models
import keras, numpy as np

keras.utils.set_random_seed(0)
view = contrast.augmentation.simclr_augmentation(8, color=False)
model = contrast.models.SimCLR(
    contrast.encoders.ConvNet((4,)), contrast.augmentation.MultiView(view, 2), projector=(4, 4)
)
model.compile("sgd", run_eagerly=True)
history = model.fit(np.random.rand(4, 8, 8, 1).astype("float32"), verbose=0).history
assert np.isfinite(history["loss"]).all()
assert not [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]
print(keras.config.backend())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_trains_without_tensorflow(backend):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-1:] == [backend], done.stderr
