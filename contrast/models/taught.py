"""Schemes in which a momentum encoder makes the targets."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from contrast.layers import MomentumEncoder
from contrast.models.base import Scheme, joined, over_views, serialized
from contrast.models.heads import head_dim
from contrast.optimizers import WarmupCosine
from contrast.typing import Tensor


class TaughtScheme(Scheme):
    """Base of the schemes with a teacher: encoder and projector followed as a moving average.

    `compute_loss` calls `teach(views, training)` once a step, which moves the teacher first.

    Args:
        encoder, augmentation, projector: see `Scheme`, also for `encode_chunk`.
        momentum: of the teacher: a float, or a function of the step.
        total_steps: steps of the whole training: the momentum then rises from `momentum` to 1 along half a
            cosine. `None`: it is as given.
    """

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: keras.Layer | None = None,
        momentum: float | Callable[[Any], Any] = 0.99,
        total_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, augmentation, projector, **kwargs)
        if total_steps is not None and (total_steps < 1 or callable(momentum)):
            raise ValueError(
                "total_steps must be at least 1 and goes with a momentum that is a number, got "
                f"{total_steps} and {momentum!r}."
            )
        self.momentum, self.total_steps = momentum, total_steps

    def build_parts(self, features: int) -> None:
        self.embedding_dim = head_dim(self.projector, features)
        momentum: Any = self.momentum
        if self.total_steps is not None:
            momentum = WarmupCosine(momentum, self.total_steps, end=1.0)
        self.teacher = MomentumEncoder(self.encoder, momentum, copy_first=True)
        self.teacher_projector = MomentumEncoder(self.projector, momentum, copy_first=True)

    def teach(self, views: Sequence[Tensor], training: bool | None) -> Tensor:
        """The teacher's embeddings `(batch, views, dim)`, without gradient; in training it moves before."""
        if training:
            self.teacher.update(self.encoder)
            self.teacher_projector.update(self.projector)
        features = joined([over_views(self.run(self.teacher), group, training=training) for group in views])
        return over_views(self.teacher_projector, features, training=training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **serialized({"momentum": self.momentum}),
            "total_steps": self.total_steps,
        }
