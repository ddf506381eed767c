import os
import pathlib

import keras
import numpy as np
import pytest

GOLDEN = pathlib.Path(os.environ.get("CONTRAST_GOLDEN_DIR") or pathlib.Path(__file__).parent / "golden")


@pytest.fixture
def golden():
    """`golden(slug)`: the arrays that a paper's official code made, as a dict."""

    def load(slug):
        with np.load(GOLDEN / f"{slug}.npz") as arrays:
            return dict(arrays)

    return load


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random state."""
    keras.utils.set_random_seed(0)
