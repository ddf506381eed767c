"""Schemes whose encoder runs in chunks train as without them."""

import keras
import numpy as np
import pytest

from contrast.encoders import ConvNet
from tests.case import assert_close, to_numpy
from tests.models.schemes import CAPTIONS, IMAGES, LABELS, VIEWS, data, dense, make


def grouped():
    encoder = ConvNet((4, 8), normalization="group")
    encoder.build((None, 8, 8, 1))
    return encoder


def perceptron():
    """Compiles sooner."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(12, "gelu"), keras.layers.Dense(8)]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def step(name, encoder, encode_chunk):
    """The loss, and the change of each weight, in one step of gradient descent."""
    keras.utils.set_random_seed(0)
    model = make(name, encoder(), encode_chunk=encode_chunk)
    model.compile(keras.optimizers.SGD(1.0))
    arrays, labels = data(name), LABELS if name == "SupCon" else None
    model.build(tuple(x.shape for x in arrays) if isinstance(arrays, tuple) else arrays.shape)
    before = [to_numpy(weight) for weight in model.weights]
    loss = model.train_on_batch(arrays, labels)
    return loss, [to_numpy(weight) - old for weight, old in zip(model.weights, before, strict=True)]


def assert_same_step(name, encoder, encode_chunk):
    (loss, changes), (expected, wanted) = (step(name, encoder, size) for size in (encode_chunk, None))
    assert_close(loss, expected, 1e-5)
    assert len(changes) == len(wanted)
    largest = max(np.abs(change).max() for change in wanted)
    for ours, theirs in zip(changes, wanted, strict=True):
        np.testing.assert_allclose(ours / largest, theirs / largest, rtol=0, atol=1e-4)


def test_a_step_with_a_teacher_is_the_same_with_and_without_chunks():
    assert_same_step("MoCoV2", perceptron, 3)


@pytest.mark.once
@pytest.mark.parametrize("name", ["SimCLR", "SupCon", "BYOL", "SwAV", "DINO", "DualEncoder"])
@pytest.mark.parametrize("encode_chunk", [1, 5])
def test_so_it_is_for_other_schemes_and_sizes(name, encode_chunk):
    assert_same_step(name, grouped, encode_chunk)


def test_an_epoch_with_a_smaller_last_batch():
    """TensorFlow then does not know the batch when it compiles."""
    weights, losses = [], []
    for encode_chunk in (None, 4):
        keras.utils.set_random_seed(0)
        model = make("SimCLR", perceptron(), encode_chunk=encode_chunk)
        model.compile(keras.optimizers.SGD(0.01))
        history = model.fit(VIEWS, batch_size=5, epochs=1, shuffle=False, verbose=0)
        losses.append([history.history["loss"][0], model.evaluate(VIEWS, batch_size=5, verbose=0)])
        weights.append(model.get_weights())
        assert model.predict(IMAGES, batch_size=5, verbose=0).shape == (8, 8)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for ours, theirs in zip(*weights[::-1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.once
def test_config_and_file(tmp_path):
    for model, arrays, samples in (
        (make("SimCLR", grouped(), encode_chunk=3), VIEWS, IMAGES),
        (make("DualEncoder", grouped(), encode_chunk=3), (IMAGES, CAPTIONS), (IMAGES, CAPTIONS)),
    ):
        model.compile("sgd")
        model.fit(arrays, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert loaded.encode_chunk == loaded.get_config()["encode_chunk"] == 3
        for ours, theirs in zip(
            keras.tree.flatten(loaded.predict(samples, verbose=0)),
            keras.tree.flatten(model.predict(samples, verbose=0)),
            strict=True,
        ):
            assert_close(ours, theirs, 1e-6)


@pytest.mark.once
def test_bad_sizes_and_encoders():
    for name in ("SimCLR", "DualEncoder"):
        with pytest.raises(ValueError, match="at least 1, got 0"):
            make(name, grouped(), encode_chunk=0)
    model = make("SimCLR", encode_chunk=4)
    model.compile("sgd")
    with pytest.raises(ValueError, match="'batch_normalization.*' .BatchNormalization. changes its"):
        model.fit(VIEWS, verbose=0)


@pytest.mark.once
def test_half_precision_and_dropout():
    encoder = keras.Sequential([dense(8), keras.layers.Dropout(0.5, seed=1), keras.layers.Dense(8)])
    model = make("SimCLR", encoder, encode_chunk=3, dtype="mixed_bfloat16")
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(VIEWS, batch_size=8, epochs=40, verbose=0).history["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
