import keras
from keras import ops

from contrast.losses.per_sample import PerSampleLoss
from contrast.ops import l2_normalize
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class NegativeCosine(PerSampleLoss):
    r"""Predictions must point where their targets do; no gradient flows into the targets.

    $$\ell_i = -\frac{p_i \cdot t_i}{\|p_i\| \|t_i\|}, \qquad t_i \text{ constant}$$

    BYOL's squared distance of unit vectors is $2 - 2 \cos(p_i, t_i) = 2 + 2 \ell_i$: the same up to a
    constant and a factor of 2 in the gradient. Both papers add the loss with the views exchanged; SimSiam
    halves the sum.

    Use it with a predictor on one side only, and a momentum encoder (BYOL) or the encoder itself (SimSiam)
    on the other; without a predictor it collapses. A zero vector has loss 0.

    Args:
        reduction: see `ContrastiveLoss`.
        name: name of the loss.

    Inputs: `y_pred` is the pair `(predictions, targets)`, each `(batch, dim)`, or `(batch, 2, dim)` in this
    order; `y_true` is not read.

    Raises:
        ValueError: if there are not two views, or predictions and targets differ in shape.

    Example:

    >>> loss = contrast.losses.NegativeCosine()
    >>> predictions, targets = np.eye(4), 3 * np.eye(4)
    >>> float(loss(None, (predictions, targets)))
    -1.0

    References: [Grill et al., 2020](https://arxiv.org/abs/2006.07733), equation 2;
        [Chen and He, 2021](https://arxiv.org/abs/2011.10566), equations 1 to 4.
    """

    def __init__(self, reduction: str | None = "mean", name: str = "negative_cosine") -> None:
        super().__init__(reduction, name)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_pred.shape[1] != 2:
            raise ValueError(
                f"{self.name} needs two views, predictions and targets, got y_pred of shape "
                f"{tuple(y_pred.shape)}."
            )
        predictions, targets = y_pred[:, 0], ops.stop_gradient(y_pred[:, 1])
        return -ops.sum(l2_normalize(predictions) * l2_normalize(targets), axis=-1)
