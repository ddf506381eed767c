from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from contrast import backend
from contrast.layers import MemoryQueue
from contrast.losses import InfoNCE, total_loss
from contrast.models.base import separate
from contrast.models.heads import make_head
from contrast.models.taught import TaughtScheme
from contrast.ops import l2_normalize
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class MoCoV2(TaughtScheme):
    r"""Queries must find their key of a slow teacher among a long queue of earlier keys.

    With the query $q_i$ of the first view, the teacher's key $k_i$ of the second, the queue Q of earlier keys
    (all of unit length) and teacher weights $\xi \leftarrow m \xi + (1 - m) \theta$,
    $$L = -\frac{1}{N} \sum_i \log \frac{e^{q_i \cdot k_i / \tau}}{e^{q_i \cdot k_i / \tau} + \sum_{n \in Q}
    e^{q_i \cdot n / \tau}}.$$

    Use it where the batch is small: the number of negatives is that of the queue. With a large batch
    `MoCoV3` needs no queue and `SimCLR` no teacher.

    Places of the queue that are not filled yet are not negatives; in the first step, when all are empty, the
    other keys of the batch are.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, or a layer.
        temperature: $\tau$.
        queue_size: keys in the queue, at least the batch.
        momentum: m, a float or a function of the step.
        total_steps: `None`, or the steps of the training, over which m rises to 1 along half a cosine.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`, exactly two views; ids are not read.

    Raises:
        ValueError: if the batch is larger than the queue, or as for `SimCLR`.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.MoCoV2(keras.layers.Dense(4), projector=(8, 4), queue_size=32)
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)
    >>> int(keras.ops.sum(keras.ops.cast(model.queue.read().valid, "int32")))
    16

    References: [Chen et al., 2020](https://arxiv.org/abs/2003.04297), after
        [He et al., 2020](https://arxiv.org/abs/1911.05722)
    """

    most_views = 2

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 128),
        temperature: float = 0.2,
        queue_size: int = 65536,
        momentum: float | Callable[[Any], Any] = 0.999,
        total_steps: int | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, dtype=dtype)
        super().__init__(encoder, augmentation, head, momentum, total_steps, dtype=dtype, **kwargs)
        self.temperature, self.queue_size = temperature, queue_size
        InfoNCE(temperature)  # refuses a bad temperature now

    def build_parts(self, features: int) -> None:
        super().build_parts(features)
        self.queue = MemoryQueue(self.queue_size, self.embedding_dim)

    def outputs(self, views: Sequence[Tensor], training: bool | None) -> dict[str, Any]:
        views = separate(views)
        return {"embeddings": self.project(self.encode(views[:1], training), training), "keys": views[1]}

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        outputs = self.outputs_of(x, y_pred, training)
        own_keys = self.teach((outputs["keys"],), training)[:, 0]
        queries, keys = backend.gather(outputs["embeddings"][:, 0]), backend.gather(own_keys)
        negatives, _, valid = self.queue.read()
        batch = ops.shape(queries)[0]
        # Row i sees its own key and the queue; the batch's other keys only while the queue is empty.
        own = ops.logical_or(ops.eye(batch, dtype="bool"), ops.logical_not(ops.any(valid)))
        seen = ops.broadcast_to(valid[None, :], (batch, self.queue_size))
        mask = ops.concatenate([own, seen], axis=1)
        loss = InfoNCE(self.temperature)(
            None,
            (queries, keys),
            backend.gather(sample_weight),
            negatives=negatives,
            candidate_mask=mask,
            gathered=True,
        )
        if training:
            self.queue.enqueue(l2_normalize(ops.cast(own_keys, "float32")))
        return total_loss(self, loss=loss)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature, "queue_size": self.queue_size}
