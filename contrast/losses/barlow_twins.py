from typing import Any

import keras
from keras import ops

from contrast.losses.two_views import TwoViewStatistics, off_diagonal, weighted_mean
from contrast.typing import Tensor

EPSILON = 1e-5  # of the batch normalisation in the official code


@keras.saving.register_keras_serializable(package="contrast")
class BarlowTwins(TwoViewStatistics):
    r"""The cross-correlation of the two views' dimensions must be the identity.

    With each dimension of both views standardised over the batch of n samples,
    $\hat z = (z - \mu) / \sqrt{\sigma^2 + 10^{-5}}$ with the biased variance $\sigma^2$,
    $$c_{ij} = \frac{1}{n} \sum_b \hat z^A_{bi} \hat z^B_{bj}, \qquad
    \ell = \sum_i (1 - c_{ii})^2 + \lambda \sum_i \sum_{j \ne i} c_{ij}^2.$$

    Use it where there should be no negatives, no teacher and no large batch; it wants wide embeddings. No
    state is kept: the statistics are the batch's. The value grows with the width; a constant encoder has
    loss dim. `VICReg` asks the same of each view by itself.

    Args:
        redundancy: the weight $\lambda$ of the off-diagonal, at least 0.
        name: name of the loss.

    Inputs: `y_pred` is `(batch, 2, dim)` or a pair of `(batch, dim)`, not normalised; `y_true` is not read.
    A sample of weight 2 counts as two equal samples.

    Raises:
        ValueError: if the batch holds one sample, there are not two views, or redundancy is negative.

    Example:

    >>> loss = contrast.losses.BarlowTwins()
    >>> views = np.random.default_rng(0).normal(size=(16, 2, 4))
    >>> float(loss(None, (views[:, 0], views[:, 0]))) < float(loss(None, views))
    True

    Reference: [Zbontar et al., 2021](https://arxiv.org/abs/2103.03230), equations 1 and 2.
    """

    def __init__(self, redundancy: float = 5e-3, name: str = "barlow_twins") -> None:
        super().__init__(name)
        if not redundancy >= 0:
            raise ValueError(f"redundancy must be at least 0, got {redundancy}.")
        self.redundancy = redundancy

    def call(self, a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
        a, b = _standardized(a, weights), _standardized(b, weights)
        c = ops.matmul(ops.transpose(weights[:, None] * a), b)
        c = ops.divide_no_nan(c, ops.sum(weights))
        on_diagonal = ops.sum(ops.square(1.0 - ops.diagonal(c)))
        return on_diagonal + self.redundancy * ops.sum(ops.square(off_diagonal(c)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "redundancy": self.redundancy}


def _standardized(x, weights):
    centered = x - weighted_mean(x, weights)
    return centered * ops.rsqrt(weighted_mean(ops.square(centered), weights) + EPSILON)
