"""Softmax over classes on the sphere, with a margin for the right one."""

from typing import Any

import keras
from keras import ops

from contrast.losses.parametric import ParametricLoss, cross_entropy
from contrast.ops import l2_normalize
from contrast.typing import Tensor


class MarginSoftmax(ParametricLoss):
    """Base of `ArcFace` and `CosFace`: a subclass implements `with_margin(cosines)` of the right classes.

    Args:
        classes, dim, reduction: see `ParametricLoss`.
        margin: what the right class must be better by, at least 0.
        scale: positive float that multiplies the cosines, the inverse of a temperature.
        sampled_classes: in training only this many classes take part in a step, those of the batch and others
            drawn anew; `None`: all. At least the number of samples in the batch, at most `classes`.
        seed: of the drawing.

    Raises:
        ValueError: if an argument is outside what is listed here; when called: if a batch is larger than
            `sampled_classes`.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        margin: float,
        scale: float = 64.0,
        sampled_classes: int | None = None,
        seed: int = 0,
        reduction: str | None = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dim, reduction, **kwargs)
        if not margin >= 0 or not scale > 0:
            raise ValueError(f"margin must be at least 0 and scale positive, got {margin} and {scale}.")
        if sampled_classes is not None and not 1 <= sampled_classes <= classes:
            raise ValueError(f"sampled_classes must be from 1 to {classes} or None, got {sampled_classes}.")
        self.margin, self.scale = margin, scale
        self.sampled_classes, self.seed = sampled_classes, seed
        self.seed_generator = None if sampled_classes is None else keras.random.SeedGenerator(seed)
        self.centers = self.add_vectors("centers", classes)

    def with_margin(self, cosines: Tensor) -> Tensor:
        raise NotImplementedError

    def call(
        self,
        ids: Tensor,
        embeddings: Tensor,
        sample_weight: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        batch = embeddings.shape[0]
        if training and None not in (self.sampled_classes, batch) and batch > self.sampled_classes:
            raise ValueError(
                f"sampled_classes must be at least the batch, which may hold as many classes: got "
                f"{self.sampled_classes} for a batch of {batch}."
            )
        return super().call(ids, embeddings, sample_weight, training)

    def anchor_losses(self, ids: Tensor, embeddings: Tensor, training: bool | None) -> Tensor:
        centers, target = ops.convert_to_tensor(self.centers), self.is_class(ids)
        if self.sampled_classes is not None and training:
            # Classes of the batch come first, then others in random order.
            order = keras.random.uniform((self.classes,), seed=self.seed_generator)
            order = order + 2.0 * ops.cast(ops.any(target, axis=0), "float32")
            drawn = ops.top_k(order, self.sampled_classes)[1]
            centers, target = ops.take(centers, drawn, axis=0), ops.take(target, drawn, axis=1)
        cosines = ops.matmul(l2_normalize(embeddings), ops.transpose(l2_normalize(centers)))
        own = ops.sum(ops.where(target, cosines, 0.0), axis=1, keepdims=True)
        return cross_entropy(self.scale * cosines, target, self.scale * self.with_margin(own))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "margin": self.margin,
            "scale": self.scale,
            "sampled_classes": self.sampled_classes,
            "seed": self.seed,
        }
