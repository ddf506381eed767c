"""From token ids to projected text tokens."""

import keras

from contrast.layers import ProjectionHead


class TextSide(keras.Layer):
    """The text encoder and a projection head on each of its tokens.

    Args:
        architecture: an `Architecture`.

    Call: ids `(batch, length)`, padded with 0, and `segment_ids` of the same shape or `None`, to tokens
        `(batch, length, dim)`. `real`, bools of that shape, says which tokens count in the statistics of the
        projection; `None`: all. What is made of padding means nothing: it must be masked.
    """

    def __init__(self, architecture, **kwargs):
        super().__init__(**kwargs)
        self.architecture = architecture
        self.encoder = architecture.build_text_encoder()
        self.projection = ProjectionHead(
            (architecture.projection_dim, architecture.dim), batch_norm=True, name="projection"
        )

    def build(self, input_shape):
        self.encoder.build(input_shape)
        self.projection.build((*input_shape, self.architecture.dim))
        self.built = True

    def call(self, ids, segment_ids=None, real=None, training=None):
        states = self.encoder.token_features(ids, training=training, segment_ids=segment_ids)
        return self.projection(states, training=training, mask=real)
