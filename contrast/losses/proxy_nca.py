from typing import Any

import keras
from keras import ops

from contrast.losses.base import check_choice
from contrast.losses.parametric import ParametricLoss, cross_entropy
from contrast.ops import l2_normalize
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ProxyNCA(ParametricLoss):
    r"""Each embedding must be nearer to the proxy of its class than to the other proxies.

    With squared distances $d_{ic}$ between unit embedding i and unit proxy c, and class $y_i$,
    $$\ell_i = -\log \frac{e^{-d_{i y_i} / \tau}}{\sum_{c} e^{-d_{ic} / \tau}}.$$

    Use it where batches cannot be balanced and classes are few enough to have a proxy each. `ProxyAnchor`
    looks at the pairs of a batch, too, and usually retrieves better.

    Args:
        classes: number of classes; ids run from 0 to classes - 1.
        dim: width of the embeddings.
        temperature: the positive float $\tau$; one ninth as in ProxyNCA++, 1 in the first paper and in
            pytorch-metric-learning.
        form: `"softmax"`: the sum runs over all proxies, as in ProxyNCA++ and pytorch-metric-learning;
            `"negatives"`: over all but the right one, as in the first paper; it has no lower bound.
        reduction: see `ContrastiveLoss`.

    Call: see `ParametricLoss`.

    Example:

    >>> head = contrast.losses.ProxyNCA(classes=3, dim=8)
    >>> loss = head(np.array([0, 2]), np.ones((2, 1, 8)))
    >>> tuple(loss.shape)
    ()

    References: [Movshovitz-Attias et al., 2017](https://arxiv.org/abs/1703.07464), equation 4;
        [Teh et al., 2020](https://arxiv.org/abs/2004.01113), equation 8.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        temperature: float = 1 / 9,
        form: str = "softmax",
        reduction: str | None = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dim, reduction, **kwargs)
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        check_choice("form", form, ("softmax", "negatives"))
        self.temperature, self.form = temperature, form
        self.proxies = self.add_vectors("proxies", classes)

    def anchor_losses(self, ids: Tensor, embeddings: Tensor, training: bool | None) -> Tensor:
        z, proxies = l2_normalize(embeddings), l2_normalize(ops.convert_to_tensor(self.proxies))
        lengths = ops.sum(ops.square(z), axis=1)[:, None] + ops.sum(ops.square(proxies), axis=1)[None, :]
        logits = (2.0 * ops.matmul(z, ops.transpose(proxies)) - lengths) / self.temperature
        target = self.is_class(ids)
        if self.form == "softmax":
            return cross_entropy(logits, target, logits)
        own = ops.sum(ops.where(target, logits, 0.0), axis=1)
        losses = ops.logsumexp(ops.where(target, -1e30, logits), axis=1) - own
        return ops.where(ops.any(target, axis=1), losses, float("nan"))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature, "form": self.form}
