"""What happens to an image has nothing to do with the other images of its batch."""

import keras
import numpy as np
import pytest

from contrast import augmentation
from contrast.augmentation import (
    ImagePipeline,
    MultiCrop,
    MultiView,
    OneDrawPerClip,
    RandomApply,
    RandomBrightnessScale,
    RandomGaussianBlur,
    RandomResizedCrop,
    RandomSolarize,
    byol_augmentation,
    dino_augmentation,
    moco_v2_augmentation,
    simclr_augmentation,
    swav_augmentation,
)
from contrast.augmentation.shifts import CutPerm, RotationShift
from tests.augmentation.test_other_data import LAYERS as OTHER_DATA
from tests.case import assert_close, to_numpy

RNG = np.random.default_rng(0)
IMAGES = RNG.random((16, 8, 8, 3)).astype("float32")
OTHERS = np.concatenate([IMAGES[:1], RNG.random((15, 8, 8, 3)).astype("float32")])
COPIES = np.repeat(IMAGES[:1], 16, axis=0)


def simclr_steps(strength=1.0):
    """Each step of SimCLR's pipeline, those that `RandomApply` wraps too, made anew with the same seeds."""
    steps = {}
    for layer in simclr_augmentation(6, strength, blur=True, seed=1).layers:
        inner = layer.layer if isinstance(layer, RandomApply) else layer
        steps[type(inner).__name__] = inner
    return steps


DRAWING = {
    "RandomResizedCrop": lambda: RandomResizedCrop(6, seed=1),
    "RandomBrightnessScale": lambda: RandomBrightnessScale(0.4, seed=1),
    "RandomGaussianBlur": lambda: RandomGaussianBlur(seed=1),
    "RandomApply": lambda: RandomApply(RandomGaussianBlur(seed=1), 0.5, seed=2),
    "MultiView": lambda: MultiView(RandomGaussianBlur(seed=1), 2),
    "OneDrawPerClip": lambda: OneDrawPerClip(RandomGaussianBlur(seed=1)),
    "RandomSolarize": lambda: RandomSolarize(0.5, seed=1),
    "ImagePipeline": lambda: ImagePipeline([RandomGaussianBlur(seed=1)]),
    "MultiCrop": lambda: MultiCrop(RandomResizedCrop(6, seed=1), RandomResizedCrop(4, seed=2)),
    "moco_v2_augmentation": lambda: moco_v2_augmentation(6, seed=1),
    "byol_augmentation": lambda: MultiView(byol_augmentation(6, seed=1)),
    "dino_augmentation": lambda: dino_augmentation(6, 4, 2, seed=1),
    "swav_augmentation": lambda: swav_augmentation(6, 4, 2, seed=1),
    "simclr_augmentation": lambda: simclr_augmentation(6, strength=1.0, blur=True, seed=1),
    **{f"simclr: {name}": lambda name=name: simclr_steps()[name] for name in simclr_steps()},
}
FIXED = {"CutPerm": CutPerm, "RotationShift": RotationShift}
# How many outputs differ at least, where not all do.
ALIKE = {"RandomFlip": 2, "RandomGaussianBlur": 12, "RandomApply": 4, "RandomSolarize": 2}
GREY = "simclr: RandomGrayscale"  # draws nothing by itself


def outputs_of(name, images):
    """Outputs of a fresh layer, `(batch, ...)`."""
    layer = (DRAWING | FIXED)[name]()
    if name == "OneDrawPerClip":
        images = np.stack([images, images], axis=1)
    outputs = layer(images, training=True)
    if isinstance(outputs, tuple):  # large and small views
        outputs = np.concatenate([to_numpy(views).reshape(len(images), -1) for views in outputs], axis=1)
    outputs = to_numpy(outputs)
    if name in FIXED:  # all images under one transform after the other
        outputs = outputs.reshape(layer.shifts, len(images), *outputs.shape[1:]).swapaxes(0, 1)
    return outputs


def test_every_public_layer_is_tested():
    layers = {name for name in augmentation.__all__ if not name.endswith(("_mask", "token_ids"))}
    assert layers - {"Shift"} <= set(DRAWING) | set(FIXED) | set(OTHER_DATA)
    assert len(simclr_steps()) == 5


@pytest.mark.parametrize("name", [*DRAWING, *FIXED])
def test_an_image_does_not_see_the_others(name):
    ours, theirs = outputs_of(name, IMAGES), outputs_of(name, OTHERS)
    assert_close(ours[0], theirs[0], 1e-5)
    assert not np.allclose(ours[1:], theirs[1:], atol=1e-3)


@pytest.mark.parametrize("name", [name for name in DRAWING if name != GREY])
def test_every_image_of_a_batch_draws(name):
    outputs = outputs_of(name, COPIES).reshape(16, -1).round(5)
    least = ALIKE.get(name.removeprefix("simclr: "), 15)
    assert len(np.unique(outputs, axis=0)) >= least


def test_the_jitter_draws_each_of_its_parts_for_each_image():
    # Far enough from black and white that nothing is cut off.
    outputs = to_numpy(simclr_steps(0.2)["RandomColorJitter"](0.4 + 0.2 * COPIES, training=True))
    low, middle, high = np.moveaxis(np.sort(outputs, axis=3), 3, 0)
    brightness = outputs.mean(axis=(1, 2, 3))
    contrast = outputs.mean(axis=3).std(axis=(1, 2))
    saturation = (high - low).mean(axis=(1, 2)) / contrast
    hue = ((middle - low) / (high - low)).mean(axis=(1, 2))
    for part in (brightness, contrast, saturation, hue):
        assert len(np.unique(part.round(5))) == 16


def test_a_layer_that_draws_once_a_batch_would_be_found():
    outputs = to_numpy(keras.layers.RandomCrop(4, 4, seed=0)(COPIES, training=True)).reshape(16, -1)
    assert len(np.unique(outputs.round(5), axis=0)) == 1
