import numpy as np
import pytest

from contrast import backend
from contrast.losses import masked_patch_loss
from tests.case import assert_close, to_numpy
from tests.losses.numerics import assert_agrees

rng = np.random.default_rng(7)
PATCHES, PREDICTIONS = rng.normal(size=(2, 3, 5, 4)) * 2 + 1
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])


def masked_error(patches, predictions, normalize=True):
    errors = []
    for x, p in zip(patches[MASK == 1], predictions[MASK == 1], strict=True):
        target = (x - x.mean()) / np.sqrt(x.var(ddof=1) + 1e-6) if normalize else x
        errors.append(((p - target) ** 2).mean())
    return np.mean(errors)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [bool, "float32"])
def test_equation_and_constant_targets(normalize, dtype):
    assert_agrees(
        lambda x, p: masked_patch_loss(x, p, MASK.astype(dtype), normalize),
        lambda x, p: masked_error(x, p, normalize),
        PATCHES,
        PREDICTIONS,
        constant=(0,),
    )


def test_visible_patches_may_hold_anything():
    predictions = np.where(MASK[:, :, None] == 1, PREDICTIONS, np.nan).astype("float32")
    value, (gradient,) = backend.value_and_grad(lambda p: masked_patch_loss(PATCHES, p, MASK), predictions)
    assert_close(value, masked_error(PATCHES, PREDICTIONS))
    assert np.isfinite(to_numpy(gradient)).all()


def test_nan_in_a_masked_patch_is_not_hidden():
    patches = PATCHES.copy()
    patches[0, 0, 0] = np.nan
    assert np.isnan(to_numpy(masked_patch_loss(patches, PREDICTIONS, MASK)))


def test_constant_patches_and_no_masked_patch():
    zeros = np.zeros((3, 5, 4))
    assert_close(masked_patch_loss(zeros + 7, zeros + 2, MASK), 4.0)
    assert float(to_numpy(masked_patch_loss(PATCHES, PREDICTIONS, np.zeros((3, 5))))) == 0


def test_half_precision():
    half = PATCHES.astype("float16")
    expected = masked_error(half.astype("float64"), PREDICTIONS.astype("float16").astype("float64"))
    actual = masked_patch_loss(half, PREDICTIONS.astype("float16"), MASK)
    assert_close(actual, expected)
    assert str(to_numpy(actual).dtype) == "float32"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: masked_patch_loss(PATCHES, PREDICTIONS[:, :4], MASK), "alike"),
        (lambda: masked_patch_loss(PATCHES, PREDICTIONS, MASK[:, :4]), r"mask \(batch, patches\)"),
        (lambda: masked_patch_loss(PATCHES[0], PREDICTIONS[0], MASK[0]), "got shapes"),
        (lambda: masked_patch_loss(PATCHES[..., :1], PREDICTIONS[..., :1], MASK), "normalize=False"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
