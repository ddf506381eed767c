"""An encoder of names as they are spelled."""

from __future__ import annotations

import keras
from keras import ops

__all__ = ["NameEncoder"]

_VOCABULARY = 258  # padding, 256 bytes, NONAME


@keras.saving.register_keras_serializable(package="contrast")
class NameEncoder(keras.layers.Layer):
    """Encodes names given as byte ids: embedding, two convolutions of width 3 with ReLU, mean over the bytes.

    Padding (id 0) is cleared before and after each convolution and left out of the mean, so that it never
    changes the encoding of a name. A row of padding only is encoded as zeros.

    Args:
        dim: length of the encoding, and width of embedding and convolutions.
        **kwargs: `name`, `dtype` and `trainable` of `keras.layers.Layer`.

    Inputs: `(batch, length)` integer ids of `applications.face_naming.formats.byte_ids`.

    Returns:
        `(batch, dim)`, entries not negative.

    Raises:
        ValueError: if `dim` is not a positive integer.

    Example:

    >>> from applications.face_naming.formats import byte_ids
    >>> tuple(NameEncoder(32)(byte_ids(["Ada Lovelace", "NONAME"])).shape)
    (2, 32)
    """

    def __init__(self, dim: int = 64, **kwargs) -> None:
        super().__init__(**kwargs)
        if not isinstance(dim, int) or dim < 1:
            raise ValueError(f"dim must be a positive integer, got {dim!r}.")
        self.dim = dim
        self.embedding = keras.layers.Embedding(_VOCABULARY, dim, dtype=self.dtype_policy, name="embedding")
        self.convolutions = [
            keras.layers.Conv1D(
                dim,
                3,
                padding="same",
                activation="relu",
                dtype=self.dtype_policy,
                name=f"convolution_{number}",
            )
            for number in (1, 2)
        ]

    def build(self, input_shape):
        self.embedding.build((None, input_shape[-1]))
        for convolution in self.convolutions:
            convolution.build((None, input_shape[-1], self.dim))
        self.built = True

    def call(self, ids):
        real = ops.cast(ops.expand_dims(ops.not_equal(ids, 0), -1), self.compute_dtype)
        x = self.embedding(ids) * real
        for convolution in self.convolutions:
            x = convolution(x) * real
        return ops.sum(x, axis=1) / ops.maximum(ops.sum(real, axis=1), 1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}
