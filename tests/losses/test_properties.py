"""What must hold for every input: order, scale, extremes, tiles."""

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings

from contrast import backend
from contrast.losses import InfoNCE, NTXent, SupervisedContrastive
from tests.case import assert_close, to_numpy

LOSSES = [
    InfoNCE(0.2, symmetric=True),
    InfoNCE(0.2, same_id="positive"),
    NTXent(0.2),
    SupervisedContrastive(0.2),
    SupervisedContrastive(0.2, form="in"),
    SupervisedContrastive(0.2, no_positive="drop"),
]
# One shape, so that compiled kernels are shared.
embeddings = arrays.arrays("float32", (5, 2, 3), elements=st.floats(-3, 3, width=32, allow_subnormal=False))
labels = arrays.arrays("int32", (5,), elements=st.integers(0, 3))
few = settings(max_examples=6 if keras.backend.backend() == "jax" else 15, deadline=None)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.name}-{LOSSES.index(loss)}")


@every_loss
@few
@given(embeddings, labels, st.permutations(range(5)))
def test_order_of_the_batch_does_not_matter(loss, z, ids, order):
    order = list(order)
    assert_close(loss(ids[order], z[order]), to_numpy(loss(ids, z)), 1e-4)


@every_loss
@few
@given(embeddings, labels, st.floats(1e-12, 1e12))
def test_scale_of_embeddings_does_not_matter(loss, z, ids, scale):
    z = np.round(z, 2) + 0.001
    assert_close(loss(ids, z * np.float32(scale)), to_numpy(loss(ids, z)), 1e-4)


@every_loss
@few
@given(embeddings, labels, st.sampled_from([0.0, 1e-30, 1e30]))
def test_gradients_are_finite_at_extremes(loss, z, ids, extreme):
    z = z.copy()
    z[0], z[1, 0] = extreme, z[2, 1]
    value, (gradient,) = backend.value_and_grad(lambda x: loss(ids, x), z)
    assert np.isfinite(to_numpy(value))
    assert np.isfinite(to_numpy(gradient)).all()


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_equal_embeddings(normalize, constant):
    z = np.full((6, 2, 4), constant, "float32")
    value, (gradient,) = backend.value_and_grad(lambda x: NTXent(0.01, normalize=normalize)(None, x), z)
    assert_close(value, np.log(11))
    assert np.abs(to_numpy(gradient)).max() < 1e-3, "1e-5 of the 1 / temperature that each term has"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_at_low_temperature(dtype):
    z = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    half = keras.ops.cast(z, dtype)
    expected = NTXent(0.01)(None, keras.ops.cast(half, "float32"))
    assert_close(NTXent(0.01)(None, half), to_numpy(expected))


@every_loss
@pytest.mark.parametrize("tile_size", [1, 7, 20])
def test_tiled_equals_whole(loss, tile_size):
    rng = np.random.default_rng(1)
    z, ids = rng.normal(size=(10, 2, 6)).astype("float32"), rng.integers(0, 4, 10)
    whole, tiled = (
        type(loss).from_config({**loss.get_config(), "tile_size": size}) for size in (None, tile_size)
    )
    value, (gradient,) = backend.value_and_grad(lambda x: whole(ids, x), z)
    ours, (our_gradient,) = backend.value_and_grad(lambda x: tiled(ids, x), z)
    assert_close(ours, to_numpy(value))
    assert_close(our_gradient, to_numpy(gradient), 1e-4)


@pytest.mark.parametrize(
    ("loss", "with_negatives"), [(LOSSES[1], True), (LOSSES[2], False), (LOSSES[4], True)]
)
def test_columns_are_tiled_too(loss, with_negatives, monkeypatch):
    """Rows and columns in several tiles each, against one tile."""
    monkeypatch.setattr("contrast.ops.tiled._TILE_ENTRIES", 0)
    rng = np.random.default_rng(2)
    z, ids = rng.normal(size=(11, 2, 6)).astype("float32"), rng.integers(0, 4, 11)
    extra = {"negatives": rng.normal(size=(5, 6)).astype("float32")} if with_negatives else {}
    whole, tiled = (type(loss).from_config({**loss.get_config(), "tile_size": size}) for size in (None, 4))
    value, (gradient,) = backend.value_and_grad(lambda x: whole(ids, x, **extra), z)
    ours, (our_gradient,) = backend.value_and_grad(lambda x: tiled(ids, x, **extra), z)
    assert_close(ours, to_numpy(value))
    assert_close(our_gradient, to_numpy(gradient), 1e-4)
