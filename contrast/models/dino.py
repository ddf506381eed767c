from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from contrast.layers import Centering, MomentumEncoder, Prototypes
from contrast.losses import SelfDistillation, total_loss
from contrast.models.base import separate
from contrast.models.heads import make_head
from contrast.models.taught import TaughtScheme
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class DINO(TaughtScheme):
    r"""The student predicts, from every view, what a centred and sharpened teacher says of the large views.

    With K logits s of the student for V views, t of the teacher for the first T of them, the centre c of the
    teacher's logits and teacher weights $\xi \leftarrow m \xi + (1 - m) \theta$,
    $$q = \mathrm{softmax}((t - c) / \tau_t), \quad p = \mathrm{softmax}(s / \tau_s), \quad
    L = -\frac{1}{N T (V - 1)} \sum_i \sum_{u \le T} \sum_{v \ne u} \sum_k q_{iuk} \log p_{ivk}.$$

    Use it with multi-crop views and vision transformers, whose attention it makes follow objects; it wants
    long trainings. Centre and low $\tau_t$ keep it from collapse; watch it with
    `contrast.callbacks.CollapseMonitor`. `SwAV` spreads samples evenly by force and learns sooner.

    The head ends in unit vectors, compared with K unit vectors: the paper's weight-normalised last layer with
    its gain fixed to 1.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
            With views of several sizes it must take them all, as a convolutional one with global pooling
            does.
        augmentation: a layer that draws the views inside the step, such as
            `contrast.augmentation.dino_augmentation`, or `None` where the data are views.
        projector: widths of the head before its last layer, or a layer.
        batch_norm: normalise the head's hidden layers over the batch. Transformers do without; features that
            end in a ReLU, as those of a convolutional encoder, point in nearly one direction, and without it
            the teacher hardly tells them apart.
        prototypes: K, the width of the logits.
        student_temperature: $\tau_s$.
        teacher_temperature: $\tau_t$ after the warm-up.
        warmup_temperature: $\tau_t$ at the start, from where it rises linearly.
        warmup_steps: steps of this warm-up; the default is 30 epochs of ImageNet in batches of 1,024.
        center_momentum: of the centre, see `contrast.layers.Centering`.
        full_views: T, how many views, the first ones, the teacher sees.
        freeze_steps: the first steps, in which no gradient flows into the last layer; the default is an epoch
            of ImageNet.
        momentum: m at the start, a float or a function of the step.
        total_steps: steps of the training, over which m rises to 1 along half a cosine, as in the paper;
            `None`: it stays.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SwAV`. Ids are not read.

    Raises:
        ValueError: if there are fewer views than `full_views`, or as for `SimCLR`.

    Example:

    >>> images = np.random.default_rng(0).random((16, 16, 16, 1)).astype("float32")
    >>> crop = contrast.augmentation.RandomResizedCrop
    >>> views = tuple(crop(size)(images) for size in (16, 16, 8, 8))
    >>> model = contrast.models.DINO(contrast.encoders.ConvNet((4, 8)), projector=(8, 4), prototypes=6)
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Caron et al., 2021](https://arxiv.org/abs/2104.14294)
    """

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 2048, 256),
        prototypes: int = 65536,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.07,
        warmup_temperature: float = 0.04,
        warmup_steps: int = 37530,
        center_momentum: float = 0.9,
        full_views: int = 2,
        freeze_steps: int = 1251,
        momentum: float | Callable[[Any], Any] = 0.996,
        total_steps: int | None = None,
        batch_norm: bool = False,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        head = make_head(
            projector, activation="gelu", kernel_initializer=initializer, batch_norm=batch_norm, dtype=dtype
        )
        super().__init__(encoder, augmentation, head, momentum, total_steps, dtype=dtype, **kwargs)
        if full_views < 1:
            raise ValueError(f"full_views must be at least 1, got {full_views}.")
        if not warmup_temperature > 0:
            raise ValueError(f"warmup_temperature must be positive, got {warmup_temperature}.")
        self.prototype_count, self.full_views = prototypes, full_views
        self.batch_norm = self.normalizes_batch = batch_norm
        self.student_temperature, self.teacher_temperature = student_temperature, teacher_temperature
        self.warmup_temperature, self.warmup_steps = warmup_temperature, warmup_steps
        self.center_momentum, self.freeze_steps = center_momentum, freeze_steps
        SelfDistillation(student_temperature, teacher_temperature)  # refuses bad temperatures now

    @property
    def least_views(self) -> int:
        """There must be a view to predict from."""
        return max(2, self.full_views)

    def build_parts(self, features: int) -> None:
        super().build_parts(features)
        self.prototypes = Prototypes(self.prototype_count, self.embedding_dim)
        self.teacher_prototypes = MomentumEncoder(self.prototypes, self.teacher.momentum, copy_first=True)
        self.centering = Centering(self.prototype_count, self.center_momentum)
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="step"
        )

    def outputs(self, views: Sequence[Tensor], training: bool | None) -> dict[str, Any]:
        T = self.full_views
        full = (views[0][:, :T],) if views[0].shape[1] >= T else separate(views)[:T]
        return {**super().outputs(views, training), "full_views": full}

    def temperature_at(self, step: Any) -> Tensor:
        """The teacher's temperature in a step."""
        done = ops.clip(ops.cast(step, "float32") / max(1, self.warmup_steps), 0.0, 1.0)
        if self.warmup_steps == 0:
            return ops.ones_like(done) * self.teacher_temperature
        return self.warmup_temperature + (self.teacher_temperature - self.warmup_temperature) * done

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        outputs = self.outputs_of(x, y_pred, training)
        step = ops.copy(self.step)
        s = self.prototypes(outputs["embeddings"], frozen=step < self.freeze_steps)
        if training:
            self.teacher_prototypes.update(self.prototypes)
        t = self.teacher_prototypes(self.teach(outputs["full_views"], training))
        loss = SelfDistillation(self.student_temperature)(
            t, s, sample_weight, center=self.centering.value, teacher_temperature=self.temperature_at(step)
        )
        if training:
            self.centering.update(t)
            self.step.assign(step + 1)
        return total_loss(self, loss=loss)

    def get_config(self) -> dict[str, Any]:
        options = {key: getattr(self, key) for key in _OPTIONS}
        return {**super().get_config(), "prototypes": self.prototype_count, **options}


_OPTIONS = (
    "student_temperature",
    "teacher_temperature",
    "warmup_temperature",
    "warmup_steps",
    "center_momentum",
    "full_views",
    "freeze_steps",
    "batch_norm",
)
