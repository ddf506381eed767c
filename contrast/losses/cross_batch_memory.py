from typing import Any, Self

import keras
from keras import ops

from contrast.layers.memory_queue import MemoryQueue
from contrast.losses.base import ContrastiveLoss
from contrast.losses.inputs import as_views, integer_ids
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class CrossBatchMemory(keras.Layer):
    """Lets a loss see the embeddings of the last batches, too, as further positives and negatives.

    Embeddings change slowly, so that those of earlier steps still tell what is hard: a small batch then has
    as many pairs as a large one. No gradient flows into the memory.

    Use it around a loss over ids, as a layer that the model owns and calls in its `compute_loss`, with
    `training=training`. In training the batch is stored after the loss was computed. The order is that of the
    official code but for one thing, shared with pytorch-metric-learning: there the batch's own candidates are
    copies without gradient out of the memory; here pairs within the batch have the gradient of both sides.
    The values are equal.

    Args:
        loss: a `ContrastiveLoss` whose anchors have ids, such as `TripletMargin` or `SupervisedContrastive`.
        size: how many embeddings are kept, at least views times the largest batch.
        dim: width of the embeddings.

    Call: `(ids, embeddings, sample_weight=None, training=True)` of int ids `(batch,)`, below 2**31, and
        embeddings `(batch, views, dim)` returns what the loss returns.

    Raises:
        TypeError: if `loss` is no `ContrastiveLoss`; when called: if ids are no integers.
        ValueError: when called: if ids are missing, the shapes do not fit, a batch exceeds `size`, or the
            loss takes no references.

    Example:

    >>> memory = contrast.losses.CrossBatchMemory(contrast.losses.TripletMargin(), size=16, dim=2)
    >>> values = [float(memory([0, 1], np.eye(2)[:, None])) for _ in range(2)]
    >>> [round(value, 4) for value in values]
    [0.0, 0.0]

    Reference: [Wang et al., 2020](https://arxiv.org/abs/1912.06798)
    """

    def __init__(self, loss: ContrastiveLoss, size: int, dim: int, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if not isinstance(loss, ContrastiveLoss):
            raise TypeError(f"loss must be a ContrastiveLoss, got {type(loss).__name__}.")
        self.loss, self.size, self.dim = loss, size, dim
        self.queue = MemoryQueue(size, dim)
        self.built = True

    def __call__(
        self, ids: Tensor | None, embeddings: Tensor, sample_weight: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        embeddings = as_views(embeddings)
        if ids is None:
            raise ValueError(f"{self.name} needs the id of each sample, got None.")
        ids = integer_ids(ids, embeddings.shape[0], "ids")
        return super().__call__(ids, embeddings, sample_weight=sample_weight, **kwargs)

    def call(
        self,
        ids: Tensor | None,
        embeddings: Tensor,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        value = self.loss(ids, embeddings, sample_weight, references=self.queue.read())
        if training:
            views = embeddings.shape[1]
            self.queue.enqueue(ops.reshape(embeddings, (-1, self.dim)), ops.repeat(ids, views))
        return value

    def get_config(self) -> dict[str, Any]:
        loss = keras.saving.serialize_keras_object(self.loss)
        return {**super().get_config(), "loss": loss, "size": self.size, "dim": self.dim}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
