"""The plain classifier that losses of metric learning are compared with."""

import keras
from keras import ops

from contrast.losses import ParametricLoss
from contrast.losses.parametric import cross_entropy


@keras.saving.register_keras_serializable(package="contrast")
class SoftmaxClassifier(ParametricLoss):
    """Cross-entropy of a linear classifier on the embedding; the embedding is what is searched with.

    Args:
        classes, dim, reduction: see `contrast.losses.ParametricLoss`.
    """

    def __init__(self, classes, dim, reduction="mean", **kwargs):
        super().__init__(classes, dim, reduction, **kwargs)
        self.kernel = self.add_vectors("kernel", classes)
        self.bias = self.add_weight(
            shape=(classes,), initializer="zeros", dtype="float32", autocast=False, name="bias"
        )

    def anchor_losses(self, ids, embeddings, training):
        kernel = ops.transpose(ops.convert_to_tensor(self.kernel))
        logits = ops.matmul(embeddings, kernel) + ops.convert_to_tensor(self.bias)
        return cross_entropy(logits, self.is_class(ids), logits)
