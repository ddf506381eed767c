"""TensorFlow's SavedModel, which TensorFlow runs whatever the backend of Keras is."""

from typing import Any

import numpy as np


def serve(path: str, batches: list) -> list[Any]:
    """What the endpoint `serve` of a SavedModel gives for each batch, as NumPy arrays."""
    import tensorflow as tf

    model = tf.saved_model.load(path)
    outputs = [model.serve(tf.nest.map_structure(tf.constant, batch)) for batch in batches]
    return tf.nest.map_structure(np.asarray, outputs)
