"""From token ids to a sentence vector."""

import keras
from keras import ops

from contrast.encoders import TextTransformer


@keras.saving.register_keras_serializable(package="sign_translation")
class SentenceEncoder(keras.Model):
    """A transformer over token ids whose sentence vector stands at the last token, the language code.

    The official code looks for that place as the largest id, which fails as soon as a token has an id above
    the language code's. Here it is the last token that is no padding.

    Args:
        vocabulary_size: ids are below it.
        dim, depth, heads, mlp_ratio, max_length, dropout, seed: see `contrast.encoders.TextTransformer`.
        padding_id: the id of padding, which nothing attends to.

    Call: ids `(batch, length)`, integers, to sentence vectors `(batch, dim)`; a sentence of padding only has
        the vector 0. `token_features(ids)` gives `(batch, length, dim)`, 0 at padding.

    Example:

    >>> from applications.sign_translation.text_encoder import SentenceEncoder
    >>> encoder = SentenceEncoder(20, dim=8, depth=1, heads=2, max_length=6)
    >>> ids = np.array([[7, 5, 2, 19, 1, 1], [9, 2, 19, 1, 1, 1]])
    >>> tuple(encoder(ids).shape), tuple(encoder.token_features(ids).shape)
    ((2, 8), (2, 6, 8))
    """

    def __init__(
        self,
        vocabulary_size,
        dim=64,
        depth=2,
        heads=4,
        mlp_ratio=4,
        max_length=64,
        dropout=0.0,
        padding_id=1,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= padding_id < vocabulary_size:
            raise ValueError(
                f"padding_id must be from 0 to vocabulary_size - 1 = {vocabulary_size - 1}, got {padding_id}."
            )
        self.vocabulary_size, self.dim, self.depth, self.heads = vocabulary_size, dim, depth, heads
        self.mlp_ratio, self.max_length, self.rate = mlp_ratio, max_length, dropout
        self.padding_id, self.seed = padding_id, seed
        self.transformer = TextTransformer(
            vocabulary_size,
            dim,
            depth,
            heads,
            mlp_ratio,
            max_length,
            dropout=dropout,
            seed=seed,
            name="transformer",
        )

    def build(self, input_shape):
        self.transformer.build(input_shape)
        self.built = True

    def token_features(self, ids, training=None):
        """The state of each token, `(batch, length, dim)`; 0 at padding."""
        if not self.built:
            self.build(ids.shape)
        return self.transformer.token_features(self._padded_with_zero(ids), training)

    def call(self, inputs, training=None):
        return self.at_last_token(self.token_features(inputs, training), inputs)

    def at_last_token(self, features, ids):
        """The row of each sentence's last token, `(batch, dim)`."""
        real = ops.cast(ops.not_equal(ids, self.padding_id), "int32")
        places = ops.arange(real.shape[1] or ops.shape(real)[1], dtype="int32")
        last = ops.max(real * places[None, :], axis=1)
        chosen = ops.cast(ops.equal(places[None, :], last[:, None]), features.dtype)
        return ops.sum(features * chosen[:, :, None], axis=1)

    def _padded_with_zero(self, ids):
        """The same ids with those of padding and 0 exchanged: the transformer's padding is 0."""
        ids = ops.convert_to_tensor(ids)
        if "int" not in keras.backend.standardize_dtype(ids.dtype):
            return ids
        ids = ops.cast(ids, "int32")
        swapped = ops.where(ops.equal(ids, 0), self.padding_id, ids)
        return ops.where(ops.equal(ids, self.padding_id), 0, swapped)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "max_length": self.max_length,
            "dropout": self.rate,
            "padding_id": self.padding_id,
            "seed": self.seed,
        }
