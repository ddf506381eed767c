from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.layers import MemoryQueue, Prototypes
from contrast.losses import SwappedPrediction, total_loss
from contrast.models.base import Scheme
from contrast.models.heads import head_dim, make_head
from contrast.ops import l2_normalize
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class SwAV(Scheme):
    r"""Each view must predict to which of the learned prototypes the sample's other views belong.

    With embeddings z and K prototypes c (all of unit length), $p_v = \mathrm{softmax}_k(z_v \cdot c_k /
    \tau)$ of every view, and codes $q_t$ of the T large views, which Sinkhorn's algorithm spreads evenly over
    the prototypes, without gradient,
    $$L = -\frac{1}{N T (V - 1)} \sum_i \sum_{t \le T} \sum_{v \ne t} \sum_k q_{itk} \log p_{ivk}.$$

    Use it with multi-crop views: small crops are cheap, and each must predict the codes of the large ones.
    Clusters come for free, `prototypes(embed(samples))`. The batch should hold several times the prototypes;
    where it does not, give `queue_size`: codes are then computed together with those of earlier embeddings.
    `DINO` needs no even spread.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
            With views of several sizes it must take them all, as a convolutional one with global pooling
            does.
        augmentation: a layer that draws the views inside the step, such as
            `contrast.augmentation.MultiCrop`, or `None` where the data are views.
        projector: widths of the projection head, whose hidden layers are batch-normalised, or a layer.
        prototypes: their number K.
        temperature: $\tau$.
        sinkhorn_temperature, sinkhorn_iterations: of the codes; see `contrast.layers.Prototypes`.
        full_views: T, how many views, the first ones, get codes.
        queue_size: earlier embeddings kept for each of the large views, at least the batch, or `None`. They
            count once the queue is full. The paper's for batches of 256: 3,840.
        queue_start: step from which embeddings are kept.
        freeze_steps: the first steps, in which no gradient flows into the prototypes. (An optimiser with
            weight decay still shrinks them, which changes nothing: they are scaled to unit length.)
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`; also views of different sizes, as a tuple or list of `(batch, ...)` or
    `(batch, views, ...)` side by side, large ones first. Ids are not read.

    Raises:
        ValueError: if the batch is larger than the queue, there are fewer views than `full_views`, or as for
            `SimCLR`.

    Example:

    >>> images = np.random.default_rng(0).random((16, 16, 16, 1)).astype("float32")
    >>> crop = contrast.augmentation.RandomResizedCrop
    >>> views = tuple(crop(size)(images) for size in (16, 16, 8, 8))
    >>> model = contrast.models.SwAV(contrast.encoders.ConvNet((4, 8)), projector=(8, 4), prototypes=6)
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Caron et al., 2020](https://arxiv.org/abs/2006.09882)
    """

    normalizes_batch = True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 128),
        prototypes: int = 3000,
        temperature: float = 0.1,
        sinkhorn_temperature: float = 0.05,
        sinkhorn_iterations: int = 3,
        full_views: int = 2,
        queue_size: int | None = None,
        queue_start: int = 0,
        freeze_steps: int = 313,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, batch_norm=True, dtype=dtype)
        super().__init__(encoder, augmentation, head, dtype=dtype, **kwargs)
        if full_views < 1:
            raise ValueError(f"full_views must be at least 1, got {full_views}.")
        self.prototype_count, self.temperature = prototypes, temperature
        self.sinkhorn_temperature, self.sinkhorn_iterations = sinkhorn_temperature, sinkhorn_iterations
        self.full_views, self.queue_size = full_views, queue_size
        self.queue_start, self.freeze_steps = queue_start, freeze_steps
        SwappedPrediction(temperature)  # refuses a bad temperature now

    @property
    def least_views(self) -> int:
        """There must be a view to predict from."""
        return max(2, self.full_views)

    def build_parts(self, features: int) -> None:
        dim = head_dim(self.projector, features)
        self.prototypes = Prototypes(
            self.prototype_count, dim, self.sinkhorn_temperature, self.sinkhorn_iterations
        )
        if self.queue_size is not None:
            self.queue = MemoryQueue(self.queue_size, dim, groups=self.full_views)
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="step"
        )

    def codes(self, scores: Tensor) -> Tensor:
        """Sinkhorn's codes of the large views, `(batch, full views, prototypes)`, without gradient."""
        codes = []
        for view in range(self.full_views):
            code = self.prototypes.assign(scores[:, view])
            if self.queue_size is not None:
                earlier, _, valid = self.queue.read(group=view)
                together = self.prototypes.assign(scores[:, view], self.prototypes(earlier))
                code = ops.where(ops.all(valid), together, code)
            codes.append(code)
        return ops.stack(codes, axis=1)

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        z = ops.cast(self.outputs_of(x, y_pred, training)["embeddings"], "float32")
        step = ops.copy(self.step)
        scores = self.prototypes(z, frozen=step < self.freeze_steps)
        codes = self.codes(scores)
        if training:
            self.step.assign(step + 1)
            if self.queue_size is not None:
                self._remember(l2_normalize(z), step)
        return total_loss(self, loss=SwappedPrediction(self.temperature)(codes, scores, sample_weight))

    def _remember(self, z, step):
        for view in range(self.full_views):
            # A row of group -1 is not stored.
            group = ops.where(step < self.queue_start, -1, view)
            self.queue.enqueue(z[:, view], group=ops.broadcast_to(group, (ops.shape(z)[0],)))

    def get_config(self) -> dict[str, Any]:
        options = {key: getattr(self, key) for key in _OPTIONS}
        return {**super().get_config(), "prototypes": self.prototype_count, **options}


_OPTIONS = (
    "temperature",
    "sinkhorn_temperature",
    "sinkhorn_iterations",
    "full_views",
    "queue_size",
    "queue_start",
    "freeze_steps",
)
