from collections.abc import Sequence
from typing import Any

import keras

from contrast import losses
from contrast.models.base import Scheme
from contrast.models.heads import make_head
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class VICReg(Scheme):
    r"""Two views must be near, every dimension must vary over the batch, and no two may vary together.

    With the mean squared distance s of the views' embeddings, the hinge v on each dimension's standard
    deviation below 1 and the squared covariances c between dimensions,
    $$L = \lambda s(z^1, z^2) + \frac{\mu}{2} \left( v(z^1) + v(z^2) \right) + \nu \left( c(z^1) + c(z^2)
    \right).$$

    Use it without negatives, teacher or queue; each term can be watched and weighed. `BarlowTwins` has one
    weight in place of three.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head ("expander"), whose hidden layers are batch-normalised, or a
            layer.
        invariance, variance, covariance: $\lambda$, $\mu$, $\nu$; see `contrast.losses.VICReg`.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`, exactly two views; ids are not read.

    Raises:
        ValueError: as for `SimCLR`.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.VICReg(keras.layers.Dense(4), projector=(16, 16))
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Bardes et al., 2022](https://arxiv.org/abs/2105.04906)
    """

    most_views, normalizes_batch = 2, True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (8192, 8192, 8192),
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, batch_norm=True, dtype=dtype)
        super().__init__(encoder, augmentation, head, dtype=dtype, **kwargs)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.make_loss()  # refuses bad weights now

    def make_loss(self) -> keras.losses.Loss:
        """The loss of the embeddings."""
        return losses.VICReg(self.invariance, self.variance, self.covariance)

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        z = self.outputs_of(x, y_pred, training)["embeddings"]
        return losses.total_loss(self, loss=self.make_loss()(None, z, sample_weight))

    def get_config(self) -> dict[str, Any]:
        terms = {key: getattr(self, key) for key in ("invariance", "variance", "covariance")}
        return {**super().get_config(), **terms}
