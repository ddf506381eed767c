import numpy as np
import pytest

from applications.anomaly_detection import cut_patches
from applications.anomaly_detection.patches import patch_corners, spread_patches

IMAGES = np.random.default_rng(0).random((2, 20, 14, 3))


def test_corners_reach_the_end():
    assert patch_corners(20, 8, 5).tolist() == [0, 5, 10, 12]
    assert patch_corners(8, 8, 4).tolist() == [0]


def test_patches_stand_image_by_image_row_by_row():
    patches = cut_patches(IMAGES, 8, 6)
    assert patches.shape == (2 * 3 * 2, 8, 8, 3)
    np.testing.assert_array_equal(patches[0], IMAGES[0, :8, :8])
    np.testing.assert_array_equal(patches[1], IMAGES[0, :8, 6:14])
    np.testing.assert_array_equal(patches[-1], IMAGES[1, 12:, 6:])


def test_a_map_is_hot_where_its_patch_is_and_constant_for_constant_values():
    values = np.zeros((1, 6))
    values[0, 3] = 1.0  # the patch at row 6, column 6
    heat = spread_patches(values, (20, 14), (8, 8), 6)[0]
    assert np.unravel_index(heat.argmax(), heat.shape) in {(r, c) for r in range(8, 12) for c in range(8, 14)}
    assert heat[:6].max() == 0 and heat[14:].max() == 0 and heat[:, :6].max() == 0
    np.testing.assert_allclose(spread_patches(np.full((2, 6), 0.4), (20, 14), (8, 8), 6), 0.4, rtol=1e-6)


def test_patches_need_not_be_square():
    assert cut_patches(IMAGES, (10, 7), 7).shape[1:] == (10, 7, 3)


@pytest.mark.parametrize(
    ("patch", "stride", "says"), [(8, 9, "stride"), (8, 0, "stride"), (16, 4, "at least 16")]
)
def test_bad_sizes(patch, stride, says):
    with pytest.raises(ValueError, match=says):
        cut_patches(IMAGES, patch, stride)
