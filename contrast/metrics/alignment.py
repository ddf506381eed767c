import itertools
from typing import Any

import keras
from keras import ops

from contrast.metrics.embedding_metric import MeanOfEmbeddings, vectors
from contrast.ops import l2_normalize
from contrast.typing import Tensor


def alignment(x: Tensor, y: Tensor, alpha: float = 2.0) -> Tensor:
    r"""How close positives are: $\frac{1}{n} \sum_i \| x_i - y_i \|^\alpha$ of unit vectors; 0 is best.

    Args:
        x, y: float tensors `(n, dim)`, row i of one is the positive of row i of the other. Scaled to unit
            length here.
        alpha: positive exponent.

    Returns:
        A float32 scalar in [0, 2 ** alpha]; NaN if an embedding is NaN.

    Raises:
        ValueError: if shapes differ, are no matrices or empty, or alpha is not positive.

    Example:

    >>> float(contrast.metrics.alignment([[1.0, 0.0]], [[0.0, 3.0]]))
    2.0

    Reference: [Wang and Isola, 2020](https://arxiv.org/abs/2005.10242), section 4.1.1.
    """
    x, y = vectors(x, "x"), vectors(y, "y")
    if tuple(x.shape) != tuple(y.shape):
        raise ValueError(f"x and y must have the same shape, got {tuple(x.shape)} and {tuple(y.shape)}.")
    return ops.mean(_distances(l2_normalize(x), l2_normalize(y), _checked(alpha)))


@keras.saving.register_keras_serializable(package="contrast")
class Alignment(MeanOfEmbeddings):
    """Mean of `contrast.metrics.alignment` over all pairs of views of a sample. `y_true` is not read.

    Args:
        alpha: positive exponent.
        name: of the metric.

    Inputs: `y_pred` is `(batch, views, dim)` with at least two views, or a pair.

    Raises:
        ValueError: if alpha is not positive, there is one view, or the batch is empty.

    Example:

    >>> metric = contrast.metrics.Alignment()
    >>> metric.update_state(None, np.ones((4, 2, 3)))
    >>> round(float(metric.result()), 5)
    0.0
    """

    def __init__(self, alpha: float = 2.0, name: str = "alignment") -> None:
        super().__init__(name)
        self.alpha = _checked(alpha)

    def sums(self, y_true: Tensor | None, views: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        count = views.shape[1]
        if count < 2:
            raise ValueError(
                f"{self.name} needs at least two views, got y_pred of shape {tuple(views.shape)}."
            )
        views = l2_normalize(views)
        pairs = list(itertools.combinations(range(count), 2))
        distances = [_distances(views[:, i], views[:, j], self.alpha) for i, j in pairs]
        return ops.sum(weights * sum(distances)), len(pairs) * ops.sum(weights)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "name": self.name}


def _distances(x, y, alpha):
    return ops.power(ops.sum(ops.square(x - y), axis=-1), 0.5 * alpha)


def _checked(alpha):
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}.")
    return alpha
