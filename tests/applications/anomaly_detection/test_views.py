import numpy as np
import pytest
from keras import ops

from applications.anomaly_detection.views import (
    ShiftedViews,
    Strength,
    by_instance,
    fixed_crops,
    make_shift,
)
from contrast.augmentation.shifts import CutPerm, RotationShift
from tests.case import assert_close, to_numpy

IMAGES = np.random.default_rng(0).random((3, 8, 8, 3)).astype("float32")
NOTHING = Strength(1.0, 0, 0, 0, 0, 0, 0)


def test_two_views_under_each_transform_in_order():
    views = ShiftedViews(make_shift("rotation"), NOTHING, flip=False)(IMAGES)
    views = to_numpy(views).reshape(4, 2, *IMAGES.shape)
    for k in range(4):
        for view in range(2):
            # a crop of the whole area has an aspect ratio of its own only if it fits: none does
            assert_close(views[k, view], np.rot90(IMAGES, k, (1, 2)), 1e-4)


def test_flip_comes_before_the_rotation_and_is_drawn_per_view():
    image = np.repeat(IMAGES[:1], 16, axis=0)
    views = to_numpy(ShiftedViews(make_shift("rotation"), NOTHING)(image)).reshape(4, 32, 8, 8, 3)
    flipped = np.abs(views[0] - np.flip(image[:1], axis=2)).max((1, 2, 3)) < 1e-4
    assert 0 < flipped.sum() < 32
    for k in range(1, 4):
        assert_close(views[k], np.rot90(views[0], k, (1, 2)), 1e-4)


def test_every_view_is_drawn_by_itself():
    image = np.repeat(IMAGES[:1], 8, axis=0)
    views = to_numpy(ShiftedViews(make_shift("cutperm"), Strength())(image))
    assert views.shape == (64, 8, 8, 3)
    assert len(np.unique(views.round(5).reshape(64, -1), axis=0)) == 64
    assert views.min() >= 0 and views.max() <= 1


def test_grey_images_get_no_colour_layers():
    colour, grey = (len(Strength().layers((8, 8), channels)) for channels in (3, 1))
    assert (colour, grey) == (3, 2)
    views = ShiftedViews(make_shift("rotation"), Strength())(IMAGES[..., :1])
    assert tuple(views.shape) == (24, 8, 8, 1)


def test_by_instance_puts_the_two_views_of_a_shifted_image_together():
    z = np.arange(4 * 2 * 3, dtype="float32").reshape(4, 2, 3)[..., None]
    pairs = to_numpy(by_instance(ops.convert_to_tensor(z.reshape(-1, 1)), 4))
    assert pairs.shape == (12, 2, 1)
    assert_close(pairs.reshape(4, 3, 2), z[..., 0].transpose(0, 2, 1))


def test_fixed_crops_are_the_image_and_parts_of_it():
    crops = [to_numpy(crop) for crop in fixed_crops(IMAGES, 4, flip=False)]
    assert len(crops) == 4
    assert_close(crops[0], IMAGES)
    assert len({crop.round(4).tobytes() for crop in crops}) == 4
    alone = to_numpy(fixed_crops(IMAGES[1:2], 4, flip=False)[2])
    assert_close(crops[2][1:2], alone)  # the same place, whatever else is in the batch
    flat = fixed_crops(np.full((1, 8, 8, 1), 0.3, "float32"), 6, flip=True)
    assert all(np.allclose(to_numpy(crop), 0.3) for crop in flat)


def test_names_of_shifts():
    assert isinstance(make_shift("rotation"), RotationShift)
    own = CutPerm()
    assert make_shift(own) is own
    with pytest.raises(ValueError, match="'rotation' or 'cutperm'"):
        make_shift("sobel")


@pytest.mark.parametrize(("option", "value"), [("hue", 0.6), ("crop_area", 1.5), ("grey", -0.1)])
def test_strength_out_of_range(option, value):
    with pytest.raises(ValueError, match=f"{option} must be from 0"):
        Strength(**{option: value})


def test_strength_of_stages_grows():
    weak, strong = Strength.of_stage(0.75, 0.5), Strength.of_stage(0.3, 1.0)
    assert weak.crop_area > strong.crop_area
    assert (strong.brightness, strong.hue, strong.grey) == (0.4, 0.1, 0.2)
    assert (weak.brightness, weak.hue) == (0.2, 0.05)
