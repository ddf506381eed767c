import keras
import numpy as np
import pytest

from contrast.augmentation import (
    MultiCrop,
    MultiView,
    RandomApply,
    RandomGaussianBlur,
    RandomResizedCrop,
    RandomSolarize,
    byol_augmentation,
    dino_augmentation,
    moco_v2_augmentation,
    simclr_augmentation,
    swav_augmentation,
)
from contrast.seeds import apart
from tests.case import assert_close, check_saved, to_numpy

IMAGE = np.random.default_rng(0).random((12, 10, 3)).astype("float32")
COPIES = np.repeat(IMAGE[None], 16, axis=0)
MANY = np.repeat(IMAGE[None], 256, axis=0)

LAYERS = {
    "solarize": lambda: RandomSolarize(0.5, seed=1),
    "moco": lambda: moco_v2_augmentation(8, seed=1),
    "byol": lambda: MultiView(byol_augmentation(8, seed=1)),
    "dino": lambda: dino_augmentation((8, 10), 4, 3, seed=1),
    "dino, grey images": lambda: dino_augmentation(8, 4, 3, color=False, seed=1),
    "swav": lambda: swav_augmentation(8, 4, 3, seed=1),
}


def flat(outputs):
    """Outputs of any form as `(batch, numbers)`."""
    return np.concatenate(
        [to_numpy(views).reshape(len(views), -1) for views in keras.tree.flatten(outputs)], axis=1
    )


@pytest.mark.parametrize("name", LAYERS)
def test_seeds_config_shapes_range_and_inference(name):
    layer = LAYERS[name]()
    once = layer(COPIES, training=True)
    assert flat(once).min() >= 0 and flat(once).max() <= 1 + 1e-6
    shapes = keras.tree.map_structure(lambda views: tuple(views.shape), once)
    predicted = layer.compute_output_shape(COPIES.shape)
    assert keras.tree.flatten(predicted) == keras.tree.flatten(shapes)
    copy = type(layer).from_config(layer.get_config())
    assert_close(flat(copy(COPIES, training=True)), flat(once), 1e-6)
    assert not np.allclose(flat(layer(COPIES, training=True)), flat(once))
    assert len(np.unique(flat(layer(COPIES, training=False)).round(5), axis=0)) == 1


def test_views_of_two_sizes():
    large, small = LAYERS["dino"]()(COPIES, training=True)
    assert tuple(large.shape) == (16, 2, 8, 10, 3) and tuple(small.shape) == (16, 3, 4, 4, 3)
    for views in (large, small):
        assert len(np.unique(flat(views).reshape(-1, 3 * 4 * 4).round(5), axis=0)) >= 16
        assert not np.allclose(to_numpy(views)[:, 0], to_numpy(views)[:, 1], atol=1e-2)
    crops = MultiCrop([RandomResizedCrop(8)] * 3, RandomResizedCrop(4))
    assert (crops.global_views, crops.local_views) == (3, 6)


def test_small_views_show_less_of_the_image():
    # A ramp from left to right gives the width of the box away.
    ramp = np.broadcast_to(np.linspace(0, 1, 48, dtype="float32")[None, None, :, None], (128, 48, 48, 3))
    crops = swav_augmentation(16, 8, 4, seed=0)
    crops = MultiCrop(
        *(MultiView(views.augmentations[0].layers[0], 1) for views in (crops.global_crops, crops.local_crops))
    )
    areas = []
    for views in crops(ramp, training=True):
        views = to_numpy(views)[:, :, 0]
        areas.append(np.ptp(views[..., views.shape[3] // 2, :, 0], axis=-1).mean())
    assert areas[1] < 0.45 * areas[0]


def test_solarize_inverts_what_is_bright_in_its_share_of_images():
    outputs = to_numpy(RandomSolarize(0.3, seed=0)(MANY, training=True))
    solarized = np.where(MANY >= 0.5, 1 - MANY, MANY)
    drawn = np.isclose(outputs, solarized).all((1, 2, 3))
    assert (drawn ^ np.isclose(outputs, MANY).all((1, 2, 3))).all()
    assert drawn.mean() == pytest.approx(0.3, abs=0.07)
    pixels = np.array([0, 100, 191, 192, 255], "float32").reshape(1, 1, 5, 1)
    layer = RandomSolarize(1.0, threshold=192 / 255, value_range=(0, 255))
    assert to_numpy(layer(pixels, training=True)).ravel().tolist() == [0, 100, 191, 63, 0]
    assert_close(layer(pixels, training=False), pixels)


def steps(pipeline):
    """Probability of each step of a pipeline, by name."""
    found = {}
    for layer in pipeline.layers:
        inner = layer.layer if isinstance(layer, RandomApply) else layer
        found[type(inner).__name__] = getattr(layer, "probability", 1.0)
    return found


def test_the_recipes_are_those_of_the_papers():
    def blur_and_solarize(pipeline):
        found = steps(pipeline)
        assert found["Sequential"] == 0.8 and found["RandomGrayscale"] == 0.2
        return found.get("RandomGaussianBlur", 0), found.get("RandomSolarize", 0)

    assert blur_and_solarize(moco_v2_augmentation(8)) == (0.5, 0)
    assert [blur_and_solarize(view) for view in byol_augmentation(8)] == [(1.0, 0), (0.1, 0.2)]
    dino, swav = dino_augmentation(8, 4), swav_augmentation(8, 4)
    assert [blur_and_solarize(view) for view in dino.global_crops.augmentations] == [(1.0, 0), (0.1, 0.2)]
    assert blur_and_solarize(dino.local_crops.augmentations[0]) == (0.5, 0)
    assert (dino.local_views, swav.local_views, swav.global_views) == (8, 6, 2)
    areas = [
        crops.augmentations[0].layers[0].area
        for layer in (dino, swav)
        for crops in (layer.global_crops, layer.local_crops)
    ]
    assert areas == [(0.4, 1.0), (0.05, 0.4), (0.14, 1.0), (0.05, 0.14)]
    assert moco_v2_augmentation(8).layers[0].area == (0.2, 1.0)


def test_jitter_reaches_the_strength_that_it_is_given():
    """Of images in one flat colour, the jitter changes brightness by a factor, saturation and hue."""
    colour = np.array([0.3, 0.4, 0.2], "float32")  # hue 0.25 of a turn
    images = np.broadcast_to(colour, (256, 2, 2, 3)).copy()
    apply = byol_augmentation(2, seed=0)[0].layers[2]
    outputs = to_numpy(apply(images, training=True))[:, 0, 0]
    low, high = outputs.min(axis=1), outputs.max(axis=1)
    assert (outputs == colour).all(axis=1).mean() == pytest.approx(0.2, abs=0.07)
    factor = high / 0.4
    assert 0.6 - 1e-3 <= factor.min() < 0.65 and 1.35 < factor.max() <= 1.4 + 1e-3
    saturation = (high - low) / high / 0.5
    assert 0.8 - 1e-3 <= saturation.min() < 0.85 and 1.15 < saturation.max() <= 1.2 + 1e-3
    turns = np.array([_hue(pixel) for pixel in outputs]) - _hue(colour)
    assert -0.1 - 1e-3 <= turns.min() < -0.08 and 0.08 < turns.max() <= 0.1 + 1e-3


def _hue(pixel):
    import colorsys

    return colorsys.rgb_to_hsv(*map(float, pixel))[0]


def test_multi_crop_inside_fit_and_saved(tmp_path):
    inputs = keras.Input(COPIES.shape[1:])
    large, small = dino_augmentation(6, 4, 2, seed=1)(inputs)
    assert tuple(large.shape) == (None, 2, 6, 6, 3) and tuple(small.shape) == (None, 2, 4, 4, 3)
    pooled = keras.layers.Concatenate(axis=1)(
        [keras.ops.mean(views, axis=(2, 3)) for views in (large, small)]
    )
    model = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    model.compile("sgd", loss="mse")
    history = model.fit(COPIES, np.zeros((16, 4, 1)), batch_size=16, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    check_saved(model, COPIES, tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: simclr_augmentation(6),
        lambda: moco_v2_augmentation(6),
        lambda: byol_augmentation(6)[1],
        lambda: dino_augmentation(6, 4),
    ],
)
def test_integers_are_refused_whatever_they_are_called_with(make):
    pixels = (COPIES * 255).astype("uint8")
    with pytest.raises(ValueError, match="got uint8 images; divide them by 255"):
        make()(pixels, training=True)
    with pytest.raises(ValueError, match="from 0.0 to 1.0, got values from .* to 25"):
        make()(pixels.astype("float32"), training=True)


def test_seeds_of_the_steps_lie_far_apart():
    seeds = [seed for view in range(3) for seed in apart((7, view), 10)] + apart(7, 10) + apart(8, 10)
    assert min(seeds) >= 0 and max(seeds) < 2**30
    assert np.diff(np.unique(seeds)).min() > 1000
    assert apart(None, 3) == [None] * 3


def test_integers_are_refused_before_anything_runs():
    with pytest.raises(ValueError, match="got uint8 images; divide them by 255"):
        simclr_augmentation(6)(keras.Input(COPIES.shape[1:], dtype="uint8"))

    class Scheme(keras.Model):
        def __init__(self):
            super().__init__()
            self.view, self.head = simclr_augmentation(6), keras.layers.Dense(1)

        def call(self, images, training=None):
            return self.head(self.view(images, training=training))

    model = Scheme()
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="got uint8 images; divide them by 255"):
        model.fit((COPIES * 255).astype("uint8"), np.zeros((16, 6, 6, 1)), verbose=0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RandomSolarize(1.5), "probability must be from 0 to 1, got 1.5"),
        (lambda: RandomSolarize(0.5, threshold=2), "threshold must be from 0 to 1, got 2"),
        (lambda: RandomSolarize(0.5, value_range=None), "value_range must be a pair"),
        (lambda: dino_augmentation(8, 9), "local_size must not exceed global_size 8, got 9"),
        (lambda: swav_augmentation((8, 6), 7), "local_size must not exceed global_size"),
        (lambda: MultiCrop(RandomResizedCrop(8), RandomResizedCrop(4), local_views=0), "local_views must be"),
        (
            lambda: MultiCrop([RandomResizedCrop(8)], RandomResizedCrop(4), 2),
            "global_views must be the number",
        ),
        (
            lambda: MultiCrop([RandomResizedCrop(8), RandomGaussianBlur()], RandomResizedCrop(4))(COPIES),
            "one",
        ),
        (lambda: MultiCrop(RandomResizedCrop(8), RandomResizedCrop(4))([IMAGE, IMAGE]), "got a list of 2"),
        (lambda: moco_v2_augmentation(0), "size must be"),
        (lambda: moco_v2_augmentation(8)(np.where(COPIES > 0.99, np.nan, COPIES)), "images without NaN"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
