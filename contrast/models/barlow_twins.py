from collections.abc import Sequence
from typing import Any

import keras

from contrast import losses
from contrast.models.base import Scheme
from contrast.models.heads import make_head
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class BarlowTwins(Scheme):
    r"""The embeddings' dimensions must agree between the two views, and say different things.

    With c the correlation over the batch between dimension i of one view and j of the other,
    $$L = \sum_i (1 - c_{ii})^2 + \lambda \sum_i \sum_{j \ne i} c_{ij}^2.$$

    Use it without negatives, teacher or queue; it wants embeddings much wider than the features. `VICReg`
    asks the like of each view by itself, and is easier to tune.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, whose hidden layers are batch-normalised, or a layer.
        redundancy: $\lambda$.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`, exactly two views; ids are not read.

    Raises:
        ValueError: as for `SimCLR`.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.BarlowTwins(keras.layers.Dense(4), projector=(16, 16))
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Zbontar et al., 2021](https://arxiv.org/abs/2103.03230)
    """

    most_views, normalizes_batch = 2, True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (8192, 8192, 8192),
        redundancy: float = 5e-3,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, batch_norm=True, use_bias=False, dtype=dtype)
        super().__init__(encoder, augmentation, head, dtype=dtype, **kwargs)
        self.redundancy = redundancy
        losses.BarlowTwins(redundancy)  # refuses a bad weight now

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        z = self.outputs_of(x, y_pred, training)["embeddings"]
        return losses.total_loss(self, loss=losses.BarlowTwins(self.redundancy)(None, z, sample_weight))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "redundancy": self.redundancy}
