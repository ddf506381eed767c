"""Checks that every Keras object of the library goes through."""

import keras
import numpy as np

from contrast import backend


def to_numpy(x):
    return keras.ops.convert_to_numpy(keras.ops.stop_gradient(keras.ops.convert_to_tensor(x)))


def assert_close(actual, expected, tolerance=1e-5):
    """Equal up to `tolerance`, relative to the largest entry expected."""
    actual, expected = to_numpy(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    largest = max(1e-7, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual / largest, expected / largest, rtol=0, atol=tolerance)


def assert_value_and_gradient(function, arrays, value, gradients, tolerance=1e-5):
    """`function(*arrays)` has this value and, within 1e-4 of the largest entry, these gradients."""
    actual, actual_gradients = backend.value_and_grad(function, *arrays)
    assert_close(actual, value, tolerance)
    for ours, theirs in zip(actual_gradients, gradients, strict=True):
        assert_close(ours, theirs, 1e-4)


def check_layer(layer_class, arguments, inputs, output_shape, tmp_path, *, precision=True):
    """Call, dynamic shape, config, `.keras` round trip, a step that moves all weights, mixed precision."""
    layer = layer_class(**arguments)
    outputs = layer(inputs)
    assert tuple(outputs.shape) == output_shape
    assert tuple(layer.compute_output_shape(inputs.shape)) == output_shape

    symbolic = keras.Input(inputs.shape[1:], dtype=str(inputs.dtype))
    assert tuple(layer(symbolic).shape) == (None, *output_shape[1:])

    copy = layer_class.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()

    model = keras.Model(symbolic, keras.layers.Dense(3)(layer(symbolic)))
    check_saved(model, inputs, tmp_path)
    check_every_weight_moves(model, inputs, np.random.default_rng(1).normal(size=(*output_shape[:-1], 3)))
    if precision:
        half = layer_class.from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
        values = to_numpy(keras.ops.cast(half(inputs), "float32"))
        assert keras.backend.standardize_dtype(half(inputs).dtype) == "bfloat16"
        assert np.isfinite(values).all()


def check_saved(model, inputs, tmp_path):
    """A model saved as `.keras` and loaded again gives the same outputs."""
    path = tmp_path / "model.keras"
    model.save(path)
    expected = model.predict(inputs, verbose=0)
    actual = keras.models.load_model(path).predict(inputs, verbose=0)
    for ours, theirs in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        assert_close(ours, theirs, 1e-6)


def check_every_weight_moves(model, inputs, targets, loss="mse"):
    """After one step of gradient descent no trainable weight is what it was."""
    model.compile(keras.optimizers.SGD(0.1), loss=loss)
    before = [to_numpy(w) for w in model.trainable_variables]
    model.fit(inputs, targets, batch_size=len(inputs), epochs=1, verbose=0)
    still = [
        w.path
        for w, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(to_numpy(w), old)
    ]
    assert before, "the model has no trainable weights"
    assert not still, f"not trained: {still}"
