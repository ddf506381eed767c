import keras
import numpy as np
import pytest

from contrast.augmentation import (
    MultiView,
    OneDrawPerClip,
    RandomApply,
    RandomBrightnessScale,
    RandomGaussianBlur,
    RandomResizedCrop,
    RotationShift,
    simclr_augmentation,
)
from tests.case import assert_close, check_saved, to_numpy

IMAGE = np.random.default_rng(0).random((12, 10, 3)).astype("float32")
COPIES = np.repeat(IMAGE[None], 16, axis=0)


def invert(probability=1.0):
    return keras.layers.RandomInvert((probability, probability), (0, 1), seed=1)


LAYERS = {
    "RandomResizedCrop": lambda: RandomResizedCrop((8, 6), seed=1),
    "RandomGaussianBlur": lambda: RandomGaussianBlur(seed=1),
    "RandomApply": lambda: RandomApply(RandomGaussianBlur(seed=1), 0.9, seed=2),
    "simclr": lambda: simclr_augmentation(8, strength=1.0, blur=True, seed=1),
    "simclr without colour": lambda: simclr_augmentation(8, color=False, seed=1),
    "MultiView": lambda: MultiView(RandomGaussianBlur(seed=1), 2),
}


def distinct(images):
    return len(np.unique(to_numpy(images).reshape(len(images), -1).round(5), axis=0))


@pytest.mark.parametrize("name", LAYERS)
def test_every_image_draws_for_itself(name):
    outputs = to_numpy(LAYERS[name]()(COPIES, training=True))
    # RandomApply leaves some rows alone, which are then alike.
    assert distinct(outputs) >= (8 if name == "RandomApply" else 15)
    assert outputs.min() >= 0 and outputs.max() <= 1 + 1e-6
    assert np.isfinite(outputs).all()


@pytest.mark.parametrize("name", LAYERS)
def test_the_seed_decides_and_state_moves_on(name):
    first, second = LAYERS[name](), LAYERS[name]()
    once = to_numpy(first(COPIES, training=True))
    assert_close(second(COPIES, training=True), once, 1e-6)
    assert not np.allclose(to_numpy(first(COPIES, training=True)), once)


@pytest.mark.parametrize("name", LAYERS)
def test_draws_unless_told_otherwise_as_keras_layers_do(name):
    assert distinct(LAYERS[name]()(COPIES)) > 1
    assert distinct(LAYERS[name]()(COPIES, training=False)) == 1


@pytest.mark.parametrize("name", LAYERS)
def test_config_and_shapes(name):
    layer = LAYERS[name]()
    shape = tuple(layer(COPIES, training=True).shape)
    assert tuple(layer.compute_output_shape(COPIES.shape)) == shape
    assert tuple(layer(keras.Input(COPIES.shape[1:])).shape) == (None, *shape[1:])
    copy = type(layer).from_config(layer.get_config())
    assert_close(copy(COPIES, training=True), LAYERS[name]()(COPIES, training=True), 1e-6)


def test_crop_at_inference_is_the_centre():
    assert_close(RandomResizedCrop((12, 10))(COPIES, training=False), COPIES, 1e-6)
    square = to_numpy(RandomResizedCrop(10)(COPIES, training=False))
    assert_close(square, COPIES[:, 1:11], 1e-6)


def test_blur_and_apply_are_the_identity_at_inference():
    for layer in (RandomGaussianBlur(), RandomApply(invert())):
        assert_close(layer(COPIES, training=False), COPIES, 1e-7)


def test_crop_scales_bilinearly():
    ramp = np.broadcast_to(np.linspace(0, 1, 9, dtype="float32")[None, :, None, None], (1, 9, 9, 1))
    tall = to_numpy(RandomResizedCrop((18, 18))(ramp, training=False))[0, :, 4, 0]
    expected = np.clip(((np.arange(18) + 0.5) / 2 - 0.5) / 8, 0, 1)
    assert_close(tall, expected, 1e-5)
    halved = to_numpy(RandomResizedCrop(4)(ramp[:, :8, :8], training=False))[0, :, 2, 0]
    assert_close(halved[1:3], [(2 + 3) / 16, (4 + 5) / 16], 1e-5)


def test_crop_keeps_to_its_ranges():
    # Images that hold their own coordinates give the box away. Within the image a crop of them is a ramp.
    rows, columns = np.meshgrid(np.arange(40) + 0.5, np.arange(60) + 0.5, indexing="ij")
    images = np.repeat(np.stack([rows, columns], -1)[None], 64, axis=0).astype("float32")
    crop = RandomResizedCrop(50, area=(0.2, 0.4), aspect=(0.5, 2.0), value_range=None, seed=0)
    outputs = to_numpy(crop(images, training=True))
    middle = slice(15, 36)
    height = np.diff(outputs[:, middle, 25, 0], axis=1).mean(1) * 50
    width = np.diff(outputs[:, 25, middle, 1], axis=1).mean(1) * 50
    share, aspect = height * width / 2400, width / height
    assert share.min() > 0.19 and share.max() < 0.41 and np.ptp(share) > 0.15
    assert aspect.min() > 0.49 and aspect.max() < 2.01 and np.ptp(np.log(aspect)) > 1
    centre = outputs[:, 24:26, 24:26].mean((1, 2))
    assert (centre[:, 0] > height / 2 - 0.1).all() and (centre[:, 0] < 40.1 - height / 2).all()
    assert np.ptp(centre[:, 0]) > 5 and np.ptp(centre[:, 1]) > 10


def test_crop_of_an_aspect_that_does_not_fit_takes_the_nearest():
    whole = RandomResizedCrop((12, 10), area=(1.0, 1.0), aspect=(3.0, 4.0))
    assert_close(whole(COPIES, training=True), COPIES, 1e-4)


def test_blur_is_gaussian_and_keeps_channels_apart():
    point = np.zeros((1, 31, 31, 2), "float32")
    point[0, 15, 15, 1] = 1
    blurred = to_numpy(RandomGaussianBlur((1.5, 1.5))(point, training=True))[0]
    assert blurred[..., 0].max() == 0
    profile = blurred[:, 15, 1] / blurred[15, 15, 1]
    assert_close(profile, np.exp(-0.5 * ((np.arange(31) - 15) / 1.5) ** 2), 1e-5)
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    even = np.full((2, 9, 9, 1), 0.5, "float32")
    assert_close(RandomGaussianBlur()(even, training=True), even, 1e-5)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_apply_takes_its_share_of_rows(probability):
    images = np.repeat(COPIES, 40, axis=0)
    outputs = to_numpy(RandomApply(invert(), probability, seed=0)(images, training=True))
    applied = np.isclose(outputs, 1 - images, atol=1e-5).all((1, 2, 3))
    untouched = np.isclose(outputs, images, atol=1e-5).all((1, 2, 3))
    assert (applied ^ untouched).all()
    assert applied.mean() == pytest.approx(probability, abs=0.07)


def test_views_differ_and_each_has_its_augmentation():
    views = to_numpy(MultiView(RandomResizedCrop(6, seed=1), 3)(COPIES, training=True))
    assert views.shape == (16, 3, 6, 6, 3)
    assert distinct(views.reshape(-1, 6, 6, 3)) == 48
    views = to_numpy(MultiView([invert(0.0), invert(1.0)])(COPIES, training=True))
    assert_close(views[:, 0], COPIES, 1e-6)
    assert_close(views[:, 1], 1 - COPIES, 1e-6)


def test_simclr_changes_colour_and_turns_some_grey():
    images = np.repeat(COPIES, 16, axis=0)
    outputs = to_numpy(simclr_augmentation((12, 10), area=(1.0, 1.0), seed=0)(images, training=True))
    grey = np.ptp(outputs, axis=-1).max((1, 2)) < 1e-4
    assert 0.1 < grey.mean() < 0.3
    # A contrast below 1 and one above, a brightness below 0 and one above.
    assert (outputs.std((1, 2, 3)) < 0.9 * IMAGE.std()).any()
    assert (outputs.mean((1, 2, 3)) < IMAGE.mean() - 0.1).any()
    assert (outputs.mean((1, 2, 3)) > IMAGE.mean() + 0.1).any()


def test_one_draw_serves_a_clip():
    clips = np.repeat(COPIES[:, None], 3, axis=1)
    layer = OneDrawPerClip(simclr_augmentation(6, blur=True, seed=3))
    outputs = to_numpy(layer(clips, training=True))
    assert outputs.shape == (16, 3, 6, 6, 3) == tuple(layer.compute_output_shape(clips.shape))
    assert_close(outputs[:, 1], outputs[:, 0], 1e-6)
    assert_close(outputs[:, 2], outputs[:, 0], 1e-6)
    assert distinct(outputs[:, 0]) == 16
    assert not np.allclose(to_numpy(layer(clips, training=True)), outputs)
    assert distinct(layer(clips, training=False)) == 1
    # As many draws as for one frame, and the same ones.
    assert_close(outputs[:, 0], simclr_augmentation(6, blur=True, seed=3)(COPIES, training=True), 1e-6)
    copy = OneDrawPerClip.from_config(layer.get_config())
    assert_close(copy(clips, training=True), outputs, 1e-6)


def test_frames_keep_what_differs_between_them():
    clips = np.stack([COPIES, 1 - COPIES], axis=1)
    outputs = to_numpy(OneDrawPerClip(RandomResizedCrop(6, seed=3))(clips, training=True))
    assert_close(outputs[:, 1], 1 - outputs[:, 0], 1e-5)


def test_all_of_it_inside_fit(tmp_path):
    """One compiled step holds every layer; at inference the model is a function of its input."""
    clips = np.repeat(COPIES[:, None], 2, axis=1)
    model = keras.Sequential(
        [
            keras.Input(clips.shape[1:]),
            MultiView(OneDrawPerClip(simclr_augmentation(8, blur=True, seed=3)), 2, name="views"),
            Record(name="record"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.compile("sgd", loss="mse")
    model.fit(clips, np.zeros((16, 2)), batch_size=16, verbose=0)
    seen = to_numpy(model.get_layer("record").seen)
    assert_close(seen[:, :, 0], seen[:, :, 1], 1e-6)
    assert distinct(seen[:, :, 0].reshape(-1, 8, 8, 3)) >= 31
    model.fit(clips, np.zeros((16, 2)), batch_size=16, verbose=0)
    assert not np.allclose(to_numpy(model.get_layer("record").seen), seen)
    assert distinct(model.predict(clips, verbose=0)) == 1
    check_saved(model, clips, tmp_path)


@keras.saving.register_keras_serializable(package="tests")
class Record(keras.Layer):
    """Keeps what passed through in the last training step."""

    def build(self, input_shape):
        self.seen = self.add_weight(shape=(16, *input_shape[1:]), trainable=False, initializer="zeros")

    def call(self, inputs, training=None):
        if training:
            self.seen.assign(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.parametrize(
    "make", [lambda: RandomResizedCrop(6), RandomGaussianBlur, lambda: simclr_augmentation(6)]
)
def test_wrong_range_is_said(make):
    with pytest.raises(ValueError, match="uint8 images; divide them by 255|got values from 0 to 254"):
        make()((COPIES * 255).astype("uint8"), training=True)
    with pytest.raises(ValueError, match="values from 0.0 to 1.0, got values from"):
        make()(COPIES * 255, training=True)
    with pytest.raises(ValueError, match="values from 0.0 to 1.0, got values from -0.99"):
        make()(COPIES - 1, training=False)


@pytest.mark.parametrize("wrap", [RandomApply, lambda layer: MultiView(layer, 2), OneDrawPerClip])
def test_input_is_left_alone(wrap):
    images = np.repeat(COPIES[:, None], 2, axis=1) if wrap is OneDrawPerClip else COPIES
    tensor = keras.ops.convert_to_tensor(images.copy())
    wrap(keras.layers.RandomBrightness(0.5, (0, 1), seed=0))(tensor, training=True)
    assert_close(tensor, images, 1e-7)


def test_other_ranges_are_for_the_asking():
    pixels = (COPIES * 255).astype("uint8")
    for value_range in ((0, 255), None):
        outputs = to_numpy(RandomResizedCrop((12, 10), value_range=value_range)(pixels, training=False))
        assert_close(outputs, pixels, 1e-5)
        blurred = to_numpy(RandomGaussianBlur(value_range=value_range)(pixels, training=True))
        assert 100 < blurred.max() <= 255 + 1e-3


def test_half_precision():
    for layer in (
        RandomResizedCrop(6, dtype="mixed_bfloat16"),
        RandomGaussianBlur(dtype="mixed_bfloat16"),
        RandomApply(RandomGaussianBlur(dtype="mixed_bfloat16"), dtype="mixed_bfloat16"),
        MultiView(RandomGaussianBlur(dtype="mixed_bfloat16"), 2, dtype="mixed_bfloat16"),
    ):
        outputs = layer(COPIES, training=True)
        assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
        assert np.isfinite(to_numpy(keras.ops.cast(outputs, "float32"))).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RandomResizedCrop(0), "size must be"),
        (lambda: RandomResizedCrop((4, 4, 4)), "size must be"),
        (lambda: RandomResizedCrop(4, area=(0.5, 1.5)), "area must be .* at most 1"),
        (lambda: RandomResizedCrop(4, area=(0.5, 0.2)), "area must be"),
        (lambda: RandomResizedCrop(4, aspect=(0, 1)), "aspect must be"),
        (lambda: RandomResizedCrop(4, value_range=(1, 0)), "value_range must be"),
        (lambda: RandomResizedCrop(4)(IMAGE), "batch, height, width, channels"),
        (lambda: RandomGaussianBlur((0, 1)), "sigma must be"),
        (lambda: RandomGaussianBlur(2.0), "sigma must be"),
        (lambda: RandomApply(invert(), 1.5), "probability must be"),
        (lambda: RandomApply(RandomResizedCrop(4))(COPIES), "keeps the shape"),
        (lambda: MultiView(invert()), "views must be"),
        (lambda: MultiView(invert(), 0), "views must be"),
        (lambda: MultiView([]), "at least 1"),
        (lambda: MultiView([invert()], 2), "views must be the number"),
        (lambda: MultiView([invert(), RandomResizedCrop(4)])(COPIES), "one shape"),
        (lambda: OneDrawPerClip(invert())(COPIES), "clips"),
        (lambda: simclr_augmentation(4, strength=2), "strength must be"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        RandomResizedCrop((8, 8)),
        RandomGaussianBlur(),
        RandomApply(RandomGaussianBlur()),
        MultiView(RandomGaussianBlur(), 2),
        simclr_augmentation(8),
        RotationShift(),
    ],
)
def test_images_of_mixed_size(layer):
    with pytest.raises(ValueError, match="one array of images of one size, got a list of 2"):
        layer([np.zeros((8, 8, 3), "float32"), np.zeros((9, 8, 3), "float32")])


def test_brightness_is_a_factor_of_the_image():
    images = np.repeat(0.5 * IMAGE[None], 64, axis=0)
    layer = RandomBrightnessScale(0.4, seed=3)
    factors = to_numpy(layer(images, training=True)) / images
    assert factors.std(axis=(1, 2, 3)).max() < 1e-5
    each = factors[:, 0, 0, 0]
    assert 0.6 <= each.min() < 0.7 < 1.3 < each.max() <= 1.4
    assert_close(layer(images, training=False), images)
    assert to_numpy(layer(np.ones_like(images), training=True)).max() == 1
    for factor in (0, 1.1):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            RandomBrightnessScale(factor)
