"""Batches that break careless losses: tiny, uneven, of half precision, equal, zero, infinite; in tiles."""

import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.losses import InfoNCE, NTXent, SupervisedContrastive
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(4)
VIEWS = rng.normal(size=(9, 2, 4)).astype("float32")
EVERY = pytest.mark.parametrize("loss_class", [InfoNCE, NTXent, SupervisedContrastive])


@EVERY
@pytest.mark.parametrize("tile_size", [1, 4, 1024])
def test_one_sample(loss_class, tile_size):
    loss = loss_class(0.1, tile_size=tile_size)
    value, (gradient,) = backend.value_and_grad(lambda z: loss(None, z), VIEWS[:1])
    assert abs(float(to_numpy(value))) < 1e-6
    assert_close(gradient, np.zeros((1, 2, 4)))


@EVERY
@pytest.mark.parametrize("tile_size", [7, 1000])
def test_tiles_that_do_not_fit(loss_class, tile_size):
    """Neither 9 nor 18 rows are a multiple of 7, and both are below 1000."""
    whole, tiled = (loss_class(0.1, tile_size=size) for size in (None, tile_size))
    value, (gradient,) = backend.value_and_grad(lambda z: whole(None, z), VIEWS)
    ours, (our_gradient,) = backend.value_and_grad(lambda z: tiled(None, z), VIEWS)
    assert_close(ours, to_numpy(value))
    assert_close(our_gradient, to_numpy(gradient), 1e-4)


@EVERY
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_at_low_temperature(loss_class, dtype):
    half = ops.cast(VIEWS, dtype)
    expected = loss_class(0.01, tile_size=None)(None, ops.cast(half, "float32"))
    value = loss_class(0.01, tile_size=4)(None, half)
    assert_close(value, to_numpy(expected))
    assert "float32" in str(value.dtype)


@EVERY
@pytest.mark.parametrize("temperature", [0.01, 0.5])
@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_equal_and_zero_embeddings(loss_class, temperature, constant):
    """Nothing tells the rows apart: the loss is the logarithm of the number of candidates."""
    z = np.full((9, 2, 4), constant, "float32")
    loss = loss_class(temperature, tile_size=4)
    value, (gradient,) = backend.value_and_grad(lambda x: loss(None, x), z)
    assert_close(value, np.log(9 if loss_class is InfoNCE else 17))
    assert np.abs(to_numpy(gradient)).max() < 1e-5 / temperature


@EVERY
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_comes_out(loss_class, normalize, bad):
    z = VIEWS.copy()
    z[5, 1, 2] = bad
    loss = loss_class(0.1, normalize=normalize, tile_size=4)
    value, (gradient,) = backend.value_and_grad(lambda x: loss(None, x), z)
    assert not np.isfinite(to_numpy(value))
    assert not np.isfinite(to_numpy(gradient)).all()
