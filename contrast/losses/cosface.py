from typing import Any

import keras

from contrast.losses.margin_softmax import MarginSoftmax
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class CosFace(MarginSoftmax):
    r"""Softmax over classes in which the cosine with the right class must be larger by a margin.

    With cosines $c_{ij}$ between embedding i and the center of class j, and class $y_i$,
    $$\ell_i = -\log \frac{e^{s (c_{i y_i} - m)}}{e^{s (c_{i y_i} - m)} + \sum_{j \ne y_i} e^{s c_{ij}}}.$$

    Use it as `ArcFace`, whose margin is an angle; this one has the simpler gradient.

    Args:
        classes: number of classes; ids run from 0 to classes - 1.
        dim: width of the embeddings.
        margin: the float $m$.
        scale: the positive float $s$.
        sampled_classes, seed: see `MarginSoftmax`.
        reduction: see `ContrastiveLoss`.

    Call: see `ParametricLoss`.

    Example:

    >>> head = contrast.losses.CosFace(classes=3, dim=8, sampled_classes=2)
    >>> loss = head(np.array([0, 2]), np.ones((2, 1, 8)), training=True)
    >>> tuple(loss.shape)
    ()

    Reference: [Wang et al., 2018](https://arxiv.org/abs/1801.09414), equation 4.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        margin: float = 0.35,
        scale: float = 64.0,
        sampled_classes: int | None = None,
        seed: int = 0,
        reduction: str | None = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dim, margin, scale, sampled_classes, seed, reduction, **kwargs)

    def with_margin(self, cosines: Tensor) -> Tensor:
        return cosines - self.margin
