"""An encoder applied to one batch after the other."""

from collections.abc import Callable
from typing import Any

import keras


def preparation(preprocess: Callable | keras.Layer | None) -> Callable:
    """The function of a batch that a preprocessing stands for; layers run with `training=False`."""
    if preprocess is None:
        return lambda batch: batch
    if isinstance(preprocess, keras.Layer):
        return lambda batch: preprocess(batch, training=False)
    return preprocess


def check_encoder(encoder: Any) -> None:
    """Raises TypeError if the encoder is no Keras layer."""
    if not isinstance(encoder, keras.Layer):
        raise TypeError(f"encoder must be a Keras model or layer, got {type(encoder).__name__}.")


def predict_rows(model: keras.Model, batch: Any) -> Any:
    """What a model predicts for a batch: a row of output for each row of input, on any number of devices.

    Keras's `predict_on_batch` gives the whole batch to each replica of a TensorFlow strategy, and returns
    what all of them found, one after the other.

    Args:
        model: a model, built or not.
        batch: nested arrays, the rows of the batch first.

    Returns:
        Nested NumPy arrays.
    """
    rows = len(keras.tree.flatten(batch)[0])
    return keras.tree.map_structure(lambda found: found[:rows], model.predict_on_batch(batch))


def encode(encoder: keras.Layer, batch: Any) -> Any:
    """The outputs of a layer or model for a batch, as NumPy arrays."""
    if isinstance(encoder, keras.Model):
        features = predict_rows(encoder, keras.tree.map_structure(keras.ops.convert_to_numpy, batch))
    else:
        features = encoder(keras.tree.map_structure(keras.ops.convert_to_tensor, batch), training=False)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, features)
