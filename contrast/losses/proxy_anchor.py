from typing import Any

import keras
from keras import ops

from contrast import backend
from contrast.losses.parametric import ParametricLoss
from contrast.ops import l2_normalize, masked_log_sum_exp
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ProxyAnchor(ParametricLoss):
    r"""Each class's proxy is an anchor: it pulls its class's embeddings and pushes all others, hardest first.

    With cosines $s_{xc}$ of embedding x and proxy c, all $C$ proxies and the $C^+$ of the classes in the
    batch, and a class's embeddings $X_c$,
    $$\ell = \frac{1}{C^+} \sum_{c} \log\Big(1 + \sum_{x \in X_c} e^{-\alpha (s_{xc} - \delta)}\Big) +
    \frac{1}{C} \sum_{c} \log\Big(1 + \sum_{x \notin X_c} e^{\alpha (s_{xc} + \delta)}\Big).$$

    Use it where classes are few enough to have a proxy each: it converges fast and needs no miner. In the
    paper proxies learn at 100 times the rate of the network; see `contrast.optimizers.PartitionedOptimizer`.

    Args:
        classes: number of classes; ids run from 0 to classes - 1.
        dim: width of the embeddings.
        margin: the float $\delta$.
        alpha: the positive scale.

    Call: see `ParametricLoss`. The loss is one number for the whole batch; `sample_weight` multiplies each
        embedding's exponentials.

    Example:

    >>> head = contrast.losses.ProxyAnchor(classes=3, dim=8)
    >>> loss = head(np.array([0, 2]), np.ones((2, 1, 8)))
    >>> tuple(loss.shape)
    ()

    Reference: [Kim et al., 2020](https://arxiv.org/abs/2003.13911), equation 4.
    """

    def __init__(
        self, classes: int, dim: int, margin: float = 0.1, alpha: float = 32.0, **kwargs: Any
    ) -> None:
        super().__init__(classes, dim, **kwargs)
        if not alpha > 0:
            raise ValueError(f"alpha must be positive, got {alpha}.")
        self.margin, self.alpha = margin, alpha
        self.proxies = self.add_vectors("proxies", classes)

    def call(
        self,
        ids: Tensor,
        embeddings: Tensor,
        sample_weight: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        ids, embeddings, sample_weight = map(backend.gather, (ids, embeddings, sample_weight))
        views = embeddings.shape[1]
        z = l2_normalize(ops.reshape(embeddings, (-1, self.dim)))
        cosines = ops.matmul(l2_normalize(ops.convert_to_tensor(self.proxies)), ops.transpose(z))
        ids = ops.repeat(ids, views)
        own = ops.transpose(self.is_class(ids))
        others = ops.logical_not(own)
        pull, push = -self.alpha * (cosines - self.margin), self.alpha * (cosines + self.margin)
        if sample_weight is not None:
            weight = ops.repeat(ops.reshape(ops.cast(sample_weight, "float32"), (-1,)), views)[None, :]
            counts = ops.greater(weight, 0)
            log_weight = ops.log(ops.where(counts, weight, 1.0))
            own, others = ops.logical_and(own, counts), ops.logical_and(others, counts)
            pull, push = pull + log_weight, push + log_weight
        present = ops.sum(ops.cast(ops.any(own, axis=1), "float32"))
        pulls = ops.sum(ops.softplus(masked_log_sum_exp(pull, own))) / ops.maximum(present, 1.0)
        pushes = ops.sum(ops.softplus(masked_log_sum_exp(push, others))) / self.classes
        known = ops.all(ops.logical_and(ops.greater_equal(ids, 0), ops.less(ids, self.classes)))
        return ops.where(known, pulls + pushes, float("nan")) / backend.replica_count()

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["reduction"]
        return {**config, "margin": self.margin, "alpha": self.alpha}
