from typing import Any

import keras
from keras import ops

from contrast.losses.two_views import TwoViewStatistics, off_diagonal, weighted_mean
from contrast.typing import Tensor

EPSILON = 1e-4


@keras.saving.register_keras_serializable(package="contrast")
class VICReg(TwoViewStatistics):
    r"""Two views must be near, every dimension must vary, and no two dimensions may vary together.

    For n samples of dimension d, with $C(Z) = \frac{1}{n - 1} \sum_b (z_b - \bar z)(z_b - \bar z)^\top$,
    $$s = \frac{1}{n d} \sum_b \|a_b - b_b\|^2, \qquad
    v(Z) = \frac{1}{d} \sum_j \max\left(0, 1 - \sqrt{C(Z)_{jj} + 10^{-4}}\right), \qquad
    c(Z) = \frac{1}{d} \sum_{i \ne j} C(Z)_{ij}^2,$$
    $$\ell = \lambda s + \mu \frac{v(A) + v(B)}{2} + \nu (c(A) + c(B)).$$

    As in the official code, s is a mean over dimensions and the two hinges are averaged, where the paper's
    equations 5 and 6 sum both.

    Use it where there should be no negatives and no teacher; the two views may come from different encoders,
    as nothing is shared between them. `BarlowTwins` works on the correlation between the views.

    Args:
        invariance: weight $\lambda$ of the distance.
        variance: weight $\mu$ of the hinge on the standard deviations.
        covariance: weight $\nu$ of the covariances.
        name: name of the loss.

    Inputs: `y_pred` is `(batch, 2, dim)` or a pair of `(batch, dim)`, not normalised; `y_true` is not read.
    A sample of weight 2 counts as two equal samples.

    Raises:
        ValueError: if the batch holds one sample, there are not two views, or a weight is negative.

    Example:

    >>> loss = contrast.losses.VICReg()
    >>> constant = np.ones((4, 2, 8))
    >>> round(float(loss(None, constant)), 2)  # 25 * (1 - sqrt(1e-4))
    24.75

    Reference: [Bardes et al., 2022](https://arxiv.org/abs/2105.04906)
    """

    def __init__(
        self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0, name: str = "vicreg"
    ) -> None:
        super().__init__(name)
        if min(invariance, variance, covariance) < 0:
            raise ValueError(
                "invariance, variance and covariance must be at least 0, got "
                f"{invariance}, {variance} and {covariance}."
            )
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def call(self, a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
        distance = ops.mean(weighted_mean(ops.square(a - b), weights))
        hinges, covariances = zip(_spread(a, weights), _spread(b, weights), strict=True)
        return (
            self.invariance * distance
            + self.variance * (hinges[0] + hinges[1]) / 2
            + self.covariance * (covariances[0] + covariances[1])
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "invariance": self.invariance,
            "variance": self.variance,
            "covariance": self.covariance,
        }


def _spread(x, weights):
    """The hinge v and the covariance term c of one view."""
    centered = x - weighted_mean(x, weights)
    products = ops.matmul(ops.transpose(weights[:, None] * centered), centered)
    C = ops.divide_no_nan(products, ops.maximum(ops.sum(weights) - 1.0, 0.0))
    deviation = ops.sqrt(ops.diagonal(C) + EPSILON)
    hinge = ops.mean(ops.relu(1.0 - deviation))
    return hinge, ops.sum(ops.square(off_diagonal(C))) / x.shape[1]
