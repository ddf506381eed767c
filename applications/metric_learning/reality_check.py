"""An encoder with an embedding, trained by any loss of metric learning."""

import keras
import numpy as np
from keras import ops

from contrast.encoders import ConvNet
from contrast.features import predict_rows
from contrast.losses import ContrastiveLoss, CrossBatchMemory, ParametricLoss, total_loss
from contrast.ops import l2_normalize
from contrast.optimizers import Part, PartitionedOptimizer

DIM = 64


@keras.saving.register_keras_serializable(package="contrast")
class MetricModel(keras.Model):
    """Any encoder of images, a dense layer to an embedding, and a loss that says which should be near.

    Args:
        encoder: a layer or model from images `(batch, height, width, channels)` to features.
        loss: a `contrast.losses.ContrastiveLoss`, or a layer: a `ParametricLoss` or a `CrossBatchMemory`.
        dim: width of the embedding.

    Call: images `(batch, height, width, channels)` to embeddings `(batch, dim)`, or views of them
        `(batch, views, height, width, channels)` to `(batch, views, dim)`; `predict` of one model takes one
        of the two. Train with `fit` on views and integer ids, as `contrast.data.ClassBalancedBatches` gives
        them; no loss is given to `compile`.
        `embed(images)` gives embeddings of unit length, for an index.

    Raises:
        TypeError: if the loss is none of these.

    Example:

    >>> model = MetricModel.small(contrast.losses.MultiSimilarity())
    >>> images, ids = np.zeros((8, 1, 28, 28, 1), "float32"), np.arange(8) // 2
    >>> model.compile("adam")
    >>> history = model.fit(images, ids, verbose=0)
    >>> model.embed(images[:, 0]).shape
    (8, 64)

    Reference: [Musgrave et al., 2020](https://arxiv.org/abs/2003.08505)
    """

    def __init__(self, encoder, loss, dim=DIM, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(loss, ContrastiveLoss | ParametricLoss | CrossBatchMemory):
            raise TypeError(
                "loss must be a ContrastiveLoss, a ParametricLoss or a CrossBatchMemory of contrast.losses, "
                f"got {type(loss).__name__}."
            )
        self.encoder, self.criterion, self.dim = encoder, loss, dim
        self.embedding = keras.layers.Dense(dim, name="embedding")

    @classmethod
    def small(cls, loss, dim=DIM):
        """With a small convolutional encoder that trains on a laptop."""
        return cls(ConvNet((16, 32, 64)), loss, dim)

    @classmethod
    def from_backbone(cls, backbone, loss, dim=DIM):
        """With any encoder, pretrained or not."""
        return cls(backbone, loss, dim)

    def optimizer_for(self, learning_rate=1e-3, class_rate=1e-2):
        """Adam for the network, and one of its own rate for the vectors of classes that the loss may have."""
        adam = keras.optimizers.Adam(learning_rate)
        if not isinstance(self.criterion, ParametricLoss):
            return adam
        part = Part(self.criterion, keras.optimizers.Adam(class_rate))
        return PartitionedOptimizer([part], default=adam)

    def build(self, input_shape):
        shape = (None, *input_shape[-3:])
        if not self.encoder.built:
            self.encoder.build(shape)
        self.embedding.build(self.encoder.compute_output_shape(shape))
        self.built = True

    def call(self, inputs, training=None):
        leading = ops.shape(inputs)[:-3]
        images = ops.reshape(inputs, (-1, *inputs.shape[-3:]))
        embeddings = self.embedding(self.encoder(images, training=training))
        return ops.reshape(embeddings, (*leading, self.dim))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-3], self.dim)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        is_layer = isinstance(self.criterion, keras.Layer)
        options = {"training": training} if is_layer else {}
        return total_loss(self, loss=self.criterion(y, y_pred, sample_weight, **options))

    def embed(self, images, batch_size=256) -> np.ndarray:
        """Embeddings of unit length, float32 `(images, dim)`, of an array or a `data.ImageFolder`."""
        parts = [
            # As views, the rank of training: TensorFlow's compiled step takes one rank only.
            predict_rows(self, images[rows][:, None])[:, 0]
            for rows in np.split(np.arange(len(images)), range(batch_size, len(images), batch_size))
        ]
        return ops.convert_to_numpy(l2_normalize(ops.convert_to_tensor(np.concatenate(parts))))

    def get_config(self):
        parts = {"encoder": self.encoder, "loss": self.criterion}
        saved = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {**super().get_config(), **saved, "dim": self.dim}

    @classmethod
    def from_config(cls, config):
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "loss")}
        return cls(**{**config, **parts})
