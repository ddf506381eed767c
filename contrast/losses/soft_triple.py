from typing import Any

import keras
import numpy as np
from keras import ops

from contrast.losses.parametric import ParametricLoss, cross_entropy
from contrast.ops import l2_normalize
from contrast.typing import Tensor

_ROUNDING = 1e-6


@keras.saving.register_keras_serializable(package="contrast")
class SoftTriple(ParametricLoss):
    r"""Softmax over classes, each of which has several centers.

    With cosines $s_{ick}$ of embedding i and center k of class c,
    $$S_{ic} = \sum_k \frac{e^{s_{ick} / \gamma}}{\sum_l e^{s_{icl} / \gamma}} s_{ick}, \qquad
    \ell_i = -\log \frac{e^{\lambda (S_{i y_i} - \delta)}}{e^{\lambda (S_{i y_i} - \delta)} +
    \sum_{c \ne y_i} e^{\lambda S_{ic}}},$$
    and, weighted by $\tau$, the mean distance between a class's centers, halved, is added, so that centers
    that are not needed merge.

    Use it where classes have several modes. With one center a class it is a softmax with a small margin, as
    `CosFace`. pytorch-metric-learning adds no distance between centers unless told to: `center_weight=0`.

    Args:
        classes: number of classes; ids run from 0 to classes - 1.
        dim: width of the embeddings.
        centers: number of centers of each class.
        scale: the positive float $\lambda$.
        temperature: the positive float $\gamma$.
        margin: the float $\delta$.
        center_weight: the float $\tau$, at least 0.
        reduction: see `ContrastiveLoss`; the distance between centers is added to each loss.

    Call: see `ParametricLoss`.

    Example:

    >>> head = contrast.losses.SoftTriple(classes=3, dim=8, centers=2)
    >>> loss = head(np.array([0, 2]), np.ones((2, 1, 8)))
    >>> tuple(loss.shape)
    ()

    Reference: [Qian et al., 2019](https://arxiv.org/abs/1909.05235), equations 7 and 10.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        centers: int = 10,
        scale: float = 20.0,
        temperature: float = 0.1,
        margin: float = 0.01,
        center_weight: float = 0.2,
        reduction: str | None = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dim, reduction, **kwargs)
        if centers < 1 or not min(scale, temperature) > 0 or not center_weight >= 0:
            raise ValueError(
                "centers must be at least 1, scale and temperature positive and center_weight at least 0, "
                f"got {centers}, {scale}, {temperature} and {center_weight}."
            )
        self.centers_per_class, self.scale, self.temperature = centers, scale, temperature
        self.margin, self.center_weight = margin, center_weight
        self.centers = self.add_vectors("centers", classes * centers)

    def anchor_losses(self, ids: Tensor, embeddings: Tensor, training: bool | None) -> Tensor:
        centers = l2_normalize(ops.convert_to_tensor(self.centers))
        cosines = ops.matmul(l2_normalize(embeddings), ops.transpose(centers))
        cosines = ops.reshape(cosines, (-1, self.classes, self.centers_per_class))
        share = ops.softmax(cosines / self.temperature, axis=-1)
        logits = self.scale * ops.sum(share * cosines, axis=-1)
        losses = cross_entropy(logits, self.is_class(ids), logits - self.scale * self.margin)
        if self.center_weight and self.centers_per_class > 1:
            losses = losses + self.center_weight * self._spread(centers)
        return losses

    def _spread(self, centers):
        count = self.centers_per_class
        centers = ops.reshape(centers, (self.classes, count, self.dim))
        squares = 2.0 - 2.0 * ops.matmul(centers, ops.transpose(centers, (0, 2, 1)))
        pairs = np.triu(np.ones((count, count), bool), 1)[None]
        apart = ops.logical_and(ops.greater(squares, _ROUNDING), pairs)
        distances = ops.where(apart, ops.sqrt(ops.where(apart, squares, 1.0)), 0.0)
        return ops.sum(distances) / (self.classes * count * (count - 1))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "centers": self.centers_per_class,
            "scale": self.scale,
            "temperature": self.temperature,
            "margin": self.margin,
            "center_weight": self.center_weight,
        }
