"""keras-hub's BERT as the text encoder."""

import keras
from keras import ops

from applications.environment import check_packages
from applications.report_generation.text import PAD_ID


@keras.saving.register_keras_serializable(package="report_generation")
class BertText(keras.Model):
    """A BERT whose states are read token by token, without a pooler.

    Args:
        vocabulary_size, dim, depth, heads, mlp_ratio, dropout: sizes of the network.
        max_length: most tokens of a text.
        backbone: a `keras_hub.models.BertBackbone` to use instead, such as one `from_preset`; the other
            arguments then say nothing.

    Call: ids `(batch, length)` to the state of the first token, `(batch, dim)`.
        `token_features(ids, training, segment_ids)` gives `(batch, length, dim)`, 0 at padding.

    Raises:
        MissingPackageError: if keras-hub is not installed.

    Reference: [Devlin et al., 2018](https://arxiv.org/abs/1810.04805).
    """

    def __init__(
        self,
        vocabulary_size=None,
        dim=768,
        depth=6,
        heads=12,
        mlp_ratio=4,
        max_length=200,
        dropout=0.1,
        backbone=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if backbone is None:
            check_packages("keras_hub")
            import keras_hub

            backbone = keras_hub.models.BertBackbone(
                vocabulary_size=vocabulary_size,
                num_layers=depth,
                num_heads=heads,
                hidden_dim=dim,
                intermediate_dim=mlp_ratio * dim,
                dropout=dropout,
                max_sequence_length=max_length,
            )
        self.backbone = backbone

    def build(self, input_shape):
        self.built = True

    def token_features(self, ids, training=None, segment_ids=None):
        """The state of each token, `(batch, length, dim)`; 0 at padding."""
        ids = ops.cast(ids, "int32")
        real = ops.not_equal(ids, PAD_ID)
        inputs = {
            "token_ids": ids,
            "segment_ids": ops.zeros_like(ids) if segment_ids is None else ops.cast(segment_ids, "int32"),
            "padding_mask": ops.cast(real, "int32"),
        }
        states = self.backbone(inputs, training=training)["sequence_output"]
        return ops.where(real[:, :, None], states, ops.zeros_like(states))

    def call(self, inputs, training=None):
        return self.token_features(inputs, training)[:, 0]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.backbone.hidden_dim)

    def get_config(self):
        return {**super().get_config(), "backbone": keras.saving.serialize_keras_object(self.backbone)}

    @classmethod
    def from_config(cls, config):
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**{**config, "backbone": backbone})
