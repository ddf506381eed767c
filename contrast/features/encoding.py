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


def encode(encoder: keras.Layer, batch: Any) -> Any:
    """The outputs of a layer or model for a batch, as NumPy arrays."""
    if isinstance(encoder, keras.Model):
        features = encoder.predict_on_batch(keras.tree.map_structure(keras.ops.convert_to_numpy, batch))
    else:
        features = encoder(keras.tree.map_structure(keras.ops.convert_to_tensor, batch), training=False)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, features)
