"""What the losses share that need no ids: the call, weights, precision, degenerate batches, saving, `fit`."""

import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.losses import (
    BarlowTwins,
    DecoupledContrastive,
    NegativeCosine,
    SelfDistillation,
    SigmoidContrastive,
    SwappedPrediction,
    VICReg,
)
from tests.case import assert_close, to_numpy

STATISTICS = [BarlowTwins, VICReg]
PER_SAMPLE = [NegativeCosine, SwappedPrediction, SelfDistillation]
WITHOUT_TARGETS = [DecoupledContrastive, SigmoidContrastive, NegativeCosine, *STATISTICS]
ALL = [*WITHOUT_TARGETS, SwappedPrediction, SelfDistillation]
TORCH = keras.backend.backend() == "torch"  # compiles nothing
VIEWS = np.random.default_rng(8).normal(size=(6, 2, 4)).astype("float32")
WEIGHT = np.array([0, 1, 2, 1, 3, 1], "float32")


def targets_of(loss_class):
    targets = np.random.default_rng(9).dirichlet(np.ones(4), size=(6, 2)).astype("float32")
    return targets if loss_class in (SwappedPrediction, SelfDistillation) else None


@pytest.mark.parametrize("loss_class", ALL)
def test_config_and_dtype(loss_class):
    loss, y = loss_class(), targets_of(loss_class)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(copy) is loss_class and copy.get_config() == loss.get_config()
    value = loss(y, VIEWS)
    assert value.shape == () and keras.backend.standardize_dtype(value.dtype) == "float32"
    assert_close(copy(y, VIEWS), to_numpy(value))
    assert_close(loss(y, (VIEWS[:, 0], VIEWS[:, 1])), to_numpy(value))


@pytest.mark.parametrize("loss_class", ALL)
def test_the_value_is_divided_by_the_number_of_replicas(loss_class, monkeypatch):
    y = targets_of(loss_class)
    alone = to_numpy(loss_class()(y, VIEWS))
    monkeypatch.setattr(backend, "replica_count", lambda: 2)
    monkeypatch.setattr(backend, "gather_rows", lambda rows: rows)
    assert_close(loss_class()(y, VIEWS), alone / 2)


@pytest.mark.parametrize("loss_class", ALL)
def test_half_precision(loss_class):
    y, half = targets_of(loss_class), ops.cast(VIEWS, "float16")
    value = loss_class()(y, half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert_close(value, to_numpy(loss_class()(y, ops.cast(half, "float32"))))


@pytest.mark.parametrize("loss_class", STATISTICS)
def test_weights_are_numbers_of_equal_samples(loss_class):
    repeated = np.repeat(VIEWS, WEIGHT.astype(int), axis=0)
    assert_close(loss_class()(None, VIEWS, WEIGHT), to_numpy(loss_class()(None, repeated)))
    _, (gradient,) = backend.value_and_grad(lambda z: loss_class()(None, z, WEIGHT), VIEWS)
    assert np.abs(to_numpy(gradient)[0]).max() < 1e-6
    assert np.isfinite(to_numpy(loss_class()(None, VIEWS, np.zeros(6))))


@pytest.mark.parametrize("loss_class", PER_SAMPLE)
def test_reductions_and_weights(loss_class):
    y = targets_of(loss_class)
    each = to_numpy(loss_class(reduction="none")(y, VIEWS))
    assert each.shape == (6,)
    assert_close(loss_class()(y, VIEWS), each.mean())
    assert_close(loss_class()(y, VIEWS, WEIGHT), (each * WEIGHT).sum() / 8)
    assert_close(loss_class(reduction="sum")(y, VIEWS, WEIGHT), (each * WEIGHT).sum())
    assert_close(loss_class(reduction="sum_over_batch_size")(y, VIEWS, WEIGHT), (each * WEIGHT).sum() / 6)
    with pytest.raises(ValueError, match="reduction"):
        loss_class(reduction="median")


@pytest.mark.parametrize("loss_class", STATISTICS)
def test_a_batch_of_one_has_no_statistics(loss_class):
    with pytest.raises(ValueError, match="at least two samples, got a batch of one"):
        loss_class()(None, VIEWS[:1])
    with pytest.raises(ValueError, match="two views"):
        loss_class()(None, VIEWS[:, :1])


@pytest.mark.parametrize("loss_class", PER_SAMPLE)
def test_a_batch_of_one_is_that_sample(loss_class):
    y = targets_of(loss_class)
    each = to_numpy(loss_class(reduction="none")(y, VIEWS))
    assert_close(loss_class()(None if y is None else y[:1], VIEWS[:1]), each[0])


@pytest.mark.parametrize("loss_class", ALL)
def test_equal_embeddings_have_finite_gradients(loss_class):
    y = targets_of(loss_class)
    for value in (0.0, 1e6):
        views = np.full((6, 2, 4), value, "float32")
        loss, (gradient,) = backend.value_and_grad(lambda z: loss_class()(y, z), views)
        assert np.isfinite(to_numpy(loss)) and np.isfinite(to_numpy(gradient)).all()


@pytest.mark.parametrize("loss_class", ALL)
def test_nan_and_infinity_are_not_hidden(loss_class):
    for bad in (np.nan, np.inf):
        views = VIEWS.copy()
        views[2, 0, 1] = bad
        assert not np.isfinite(to_numpy(loss_class()(targets_of(loss_class), views)))


@pytest.mark.parametrize("loss_class", ALL)
def test_bad_shapes(loss_class):
    y = targets_of(loss_class)
    with pytest.raises(ValueError, match=r"\(batch, views, dim\)"):
        loss_class()(y, VIEWS[:, 0])
    with pytest.raises(ValueError, match="empty batch"):
        loss_class()(y, VIEWS[:0])
    with pytest.raises(ValueError, match="same batch"):
        loss_class()(y, (VIEWS[:, 0], VIEWS[:3, 1]))


@pytest.mark.parametrize("loss_class", WITHOUT_TARGETS if TORCH else [SigmoidContrastive, VICReg])
def test_fit_without_targets(loss_class):
    """The last batch is smaller: TensorFlow traces an unknown batch."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(1e-3), loss=loss_class())
    history = model.fit(VIEWS, batch_size=4, epochs=5, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_fit_with_targets():
    model = keras.Sequential([keras.layers.Dense(4)])
    model.compile(keras.optimizers.SGD(0.1), loss=SwappedPrediction())
    targets = targets_of(SwappedPrediction)
    history = model.fit(VIEWS, targets, batch_size=4, epochs=5, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
