from typing import Any

import keras
from keras import ops

from contrast.losses.per_sample import PerSampleLoss, check_target_views, swapped_cross_entropy
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class SwappedPrediction(PerSampleLoss):
    r"""Each view's scores must predict the codes of the sample's other views.

    With scores $s_v$ of V views over the prototypes, codes $q_t$ of the first T of them, and
    $p_v = \mathrm{softmax}(s_v / \tau)$,
    $$\ell = -\frac{1}{T (V - 1)} \sum_{t \le T} \sum_{v \ne t} \sum_k q_{tk} \log p_{vk}.$$

    Use it with `contrast.layers.Prototypes`, whose `assign` makes the codes of the full views; small crops
    (multi-crop) come after them and have no codes. No gradient flows into the codes.

    Args:
        temperature: positive float $\tau$.
        reduction: see `ContrastiveLoss`.
        name: name of the loss.

    Inputs: `y_pred` is `(batch, views, prototypes)`, cosines; `y_true` is `(batch, first views, prototypes)`
    codes, rows of which sum to 1.

    Raises:
        ValueError: if there are fewer than two views, more codes than views, no codes, or shapes that do not
            fit; or the temperature is not positive.

    Example:

    >>> prototypes = contrast.layers.Prototypes(count=3, dim=8)
    >>> scores = prototypes(np.random.default_rng(0).normal(size=(6, 4, 8)))  # two views, two small crops
    >>> codes = np.stack([prototypes.assign(scores[:, view]) for view in range(2)], axis=1)
    >>> tuple(contrast.losses.SwappedPrediction()(codes, scores).shape)
    ()

    Reference: [Caron et al., 2020](https://arxiv.org/abs/2006.09882), equations 1, 2 and 6.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: str | None = "mean",
        name: str = "swapped_prediction",
    ) -> None:
        super().__init__(reduction, name)
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        self.temperature = temperature

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        codes = ops.stop_gradient(check_target_views("codes", self.name, y_true, y_pred))
        return swapped_cross_entropy(codes, ops.log_softmax(y_pred / self.temperature, axis=-1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
