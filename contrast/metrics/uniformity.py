from typing import Any

import keras
from keras import ops

from contrast.metrics.embedding_metric import MeanOfEmbeddings, vectors
from contrast.ops import l2_normalize
from contrast.typing import Tensor


def uniformity(x: Tensor, t: float = 2.0) -> Tensor:
    r"""How evenly embeddings fill the sphere; lower is better, 0 means that all are alike.

    $$\log \frac{2}{n (n - 1)} \sum_{i < j} e^{-t \| x_i - x_j \|^2}$$

    of unit vectors. Vectors spread evenly in many dimensions come near $-2t$. An `(n, n)` matrix is held in
    memory.

    Args:
        x: float tensor `(n, dim)` with n >= 2. Scaled to unit length here.
        t: positive; the inverse width of the kernel.

    Returns:
        A float32 scalar in [-4t, 0]; NaN if an embedding is NaN.

    Raises:
        ValueError: if `x` is no matrix or has fewer than two rows, or t is not positive.

    Example:

    >>> float(contrast.metrics.uniformity([[1.0, 0.0], [0.0, 2.0]]))
    -4.0

    Reference: [Wang and Isola, 2020](https://arxiv.org/abs/2005.10242), section 4.1.2.
    """
    x = vectors(x, "x")
    if x.shape[0] == 1:
        raise ValueError("x has one row; uniformity needs two or more.")
    total, count = _pair_sums(x[:, None], ops.ones_like(x[:, 0]), _checked(t))
    return ops.log(total / count)


@keras.saving.register_keras_serializable(package="contrast")
class Uniformity(MeanOfEmbeddings):
    """`contrast.metrics.uniformity`, the log of the mean over pairs. `y_true` is not read.

    The pairs are those of samples of the same batch in the same view; pairs across batches are not seen. The
    mean runs over the pairs of all views and batches before the log is taken, so that a smaller last batch
    counts by its pairs. Batches of one sample have no pair and are left out; the result is NaN until there
    was a pair. A sample weight counts in a pair as the product of both.

    Args:
        t: positive; the inverse width of the kernel.
        name: of the metric.

    Inputs: `y_pred` is `(batch, views, dim)`, or a pair.

    Raises:
        ValueError: if t is not positive or the batch is empty.

    Example:

    >>> metric = contrast.metrics.Uniformity()
    >>> metric.update_state(None, np.eye(3)[:, None])
    >>> round(float(metric.result()), 4)
    -4.0
    """

    def __init__(self, t: float = 2.0, name: str = "uniformity") -> None:
        super().__init__(name)
        self.t = _checked(t)

    def sums(self, y_true: Tensor | None, views: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return _pair_sums(views, weights, self.t)

    def result(self) -> Tensor:
        return ops.log(super().result())

    def get_config(self) -> dict[str, Any]:
        return {"t": self.t, "name": self.name}


def _pair_sums(views, weights, t):
    """Sum over the pairs within each view of `(batch, views, dim)`, and the weight of the pairs."""
    views = ops.transpose(l2_normalize(views), (1, 0, 2))
    squares = ops.sum(ops.square(views), axis=-1)
    products = ops.matmul(views, ops.transpose(views, (0, 2, 1)))
    distances = ops.maximum(squares[:, :, None] + squares[:, None, :] - 2.0 * products, 0.0)
    pairs = weights[:, None] * weights[None, :]
    pairs = pairs - ops.diag(ops.diagonal(pairs))
    kernel = ops.sum(ops.exp(-t * distances), axis=0)
    return ops.sum(pairs * kernel), views.shape[0] * ops.sum(pairs)


def _checked(t):
    if not t > 0:
        raise ValueError(f"t must be positive, got {t}.")
    return t
