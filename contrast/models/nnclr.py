from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.layers import MemoryQueue
from contrast.losses import InfoNCE, total_loss
from contrast.models.base import Scheme, over_views, serialized
from contrast.models.heads import build_predictor, head_dim, make_head
from contrast.ops import l2_normalize
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class NNCLR(Scheme):
    r"""A view's positive is not its other view but that view's nearest neighbour among earlier embeddings.

    With embeddings $z = g(f(x))$, predictions $q = p(z)$ (all of unit length), the support queue Q and
    $\mathrm{NN}(z) = \arg\max_{n \in Q} z \cdot n$, without gradient,
    $$L = \frac{1}{2} \left( \ell(\mathrm{NN}(z^1), q^2) + \ell(\mathrm{NN}(z^2), q^1) \right), \qquad
    \ell(n, q) = -\frac{1}{N} \sum_i \log \frac{e^{n_i \cdot q_i / \tau}}{\sum_j e^{n_i \cdot q_j / \tau}}.$$

    Use it where views of one image differ less than images of one kind do, so that augmentation alone teaches
    little. The queue should hold many times the number of kinds. `SimCLR` takes the other view itself.

    While the queue is empty, in the first step, an embedding is its own neighbour.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, batch-normalised after each layer, or a layer.
        predictor: widths of the second head, whose hidden layer is batch-normalised, or a layer.
        temperature: $\tau$.
        queue_size: embeddings in the support queue, at least the batch.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`, exactly two views; ids are not read.

    Raises:
        ValueError: if the batch is larger than the queue, the predictor does not end in the projector's
            width, or as for `SimCLR`.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.NNCLR(
    ...     keras.layers.Dense(4), projector=(8, 4), predictor=(8, 4), queue_size=16
    ... )
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Dwibedi et al., 2021](https://arxiv.org/abs/2104.14548)
    """

    most_views, normalizes_batch = 2, True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 2048, 256),
        predictor: Sequence[int] | keras.Layer = (4096, 256),
        temperature: float = 0.1,
        queue_size: int = 98304,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, batch_norm=True, last_norm="affine", dtype=dtype)
        super().__init__(encoder, augmentation, head, dtype=dtype, **kwargs)
        self.predictor = make_head(predictor, batch_norm=True, dtype=dtype)
        self.temperature, self.queue_size = temperature, queue_size
        InfoNCE(temperature)  # refuses a bad temperature now

    def build_parts(self, features: int) -> None:
        dim = head_dim(self.projector, features)
        build_predictor(self.predictor, dim)
        self.queue = MemoryQueue(self.queue_size, dim)

    def outputs(self, views: Sequence[Tensor], training: bool | None) -> dict[str, Any]:
        embeddings = self.project(self.encode(views, training), training)
        predictions = over_views(self.predictor, embeddings, training=training)
        return {"embeddings": embeddings, "predictions": predictions}

    def nearest(self, embeddings: Tensor) -> Tensor:
        """The nearest of the queue to each of the unit vectors `(batch, dim)`, without gradient."""
        embeddings = ops.stop_gradient(embeddings)
        support, _, valid = self.queue.read()
        similarity = ops.where(valid[None, :], ops.matmul(embeddings, ops.transpose(support)), -2.0)
        neighbors = ops.take(support, ops.argmax(similarity, axis=1), axis=0)
        return ops.where(ops.any(valid), neighbors, embeddings)

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        outputs = self.outputs_of(x, y_pred, training)
        z, q = l2_normalize(ops.cast(outputs["embeddings"], "float32")), outputs["predictions"]
        loss = InfoNCE(self.temperature)
        both = loss(None, (self.nearest(z[:, 0]), q[:, 1]), sample_weight) + loss(
            None, (self.nearest(z[:, 1]), q[:, 0]), sample_weight
        )
        if training:
            self.queue.enqueue(z[:, 0])
        return total_loss(self, loss=both / 2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **serialized({"predictor": self.predictor}),
            "temperature": self.temperature,
            "queue_size": self.queue_size,
        }
