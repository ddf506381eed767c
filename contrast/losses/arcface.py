import math
from typing import Any

import keras
from keras import ops

from contrast.losses.margin_softmax import MarginSoftmax
from contrast.typing import Tensor

_ROUNDING = 1e-6  # of a squared sine


@keras.saving.register_keras_serializable(package="contrast")
class ArcFace(MarginSoftmax):
    r"""Softmax over classes in which the right class must be nearer by an angle.

    With $\theta_{ij}$ the angle between embedding i and the center of class j, and class $y_i$,
    $$\ell_i = -\log \frac{e^{s \cos(\theta_{i y_i} + m)}}{e^{s \cos(\theta_{i y_i} + m)} +
    \sum_{j \ne y_i} e^{s \cos \theta_{ij}}}.$$
    Beyond $\theta = \pi - m$, where the cosine would rise again, $\cos\theta - m \sin m$ stands in its place.

    Use it where classes are known and many, as people or products, and the batch need not be balanced; with
    `sampled_classes` a step costs the same however many there are (Partial FC). `CosFace` has its margin on
    the cosine. An angle of 0 has zero gradient.

    Args:
        classes: number of classes; ids run from 0 to classes - 1.
        dim: width of the embeddings.
        margin: the angle $m$ in radians, at most pi (pytorch-metric-learning takes degrees).
        scale: the positive float $s$.
        sampled_classes, seed: see `MarginSoftmax`.
        reduction: see `ContrastiveLoss`.

    Call: see `ParametricLoss`.

    Example:

    >>> head = contrast.losses.ArcFace(classes=3, dim=8)
    >>> loss = head(np.array([0, 2]), np.ones((2, 1, 8)))
    >>> tuple(loss.shape)
    ()

    References: [Deng et al., 2019](https://arxiv.org/abs/1801.07698), equation 3;
        [An et al., 2021](https://arxiv.org/abs/2010.05222) for sampled classes.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        margin: float = 0.5,
        scale: float = 64.0,
        sampled_classes: int | None = None,
        seed: int = 0,
        reduction: str | None = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dim, margin, scale, sampled_classes, seed, reduction, **kwargs)
        if margin > math.pi:
            raise ValueError(f"margin must be at most pi, in radians, got {margin}.")

    def with_margin(self, cosines: Tensor) -> Tensor:
        squares = 1.0 - ops.square(cosines)
        apart = ops.greater(squares, _ROUNDING)
        sines = ops.where(apart, ops.sqrt(ops.where(apart, squares, 1.0)), 0.0)
        moved = cosines * math.cos(self.margin) - sines * math.sin(self.margin)
        beyond = ops.less(cosines, -math.cos(self.margin))
        return ops.where(beyond, cosines - self.margin * math.sin(self.margin), moved)
