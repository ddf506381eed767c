from collections.abc import Sequence
from typing import Any

import keras

from contrast.losses import NTXent, total_loss
from contrast.losses.base import ContrastiveLoss
from contrast.models.base import Scheme
from contrast.models.heads import make_head
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class SimCLR(Scheme):
    r"""Each view must find the other view of its sample among all views of the batch.

    With features $h = f(x)$ and embeddings $z = g(h)$ of the 2N views, $s_{ij} = \cos(z_i, z_j) / \tau$ and j
    the partner of i,
    $$L = -\frac{1}{2N} \sum_i \log \frac{e^{s_{ij}}}{\sum_{k \ne i} e^{s_{ik}}}.$$

    Use it first: one encoder, no state, and the loss tells how well it goes. It wants a batch of some hundred
    samples; with less take `DecoupledSimCLR`, or `MoCoV2`, whose negatives come from a queue. With class
    labels take `SupCon`.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, whose hidden layers are batch-normalised, or a layer.
        temperature: $\tau$. The paper's best are 0.1 for long trainings on ImageNet and 0.5 on CIFAR-10.
        same_id: what ids in `fit(x, ids)` say: `None`, they are not read; else as for
            `contrast.losses.NTXent`: `"ignore"`, `"positive"` or `"shared"`.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: `fit(samples)` with an augmentation, `fit(views)` of `(batch, views, ...)` without, or a pair
    `(view, view)`; each with or without ids, or as a data set of them. A data set yields a pair as
    `((view, view),)` or `((view, view), ids)`. `predict(samples)` gives features, `embed(samples)`
    embeddings.

    Raises:
        ValueError: if the encoder has several outputs or no features `(batch, dim)`, the data have another
            form, or the batch is one sample, which the projector cannot normalise.

    Example:

    >>> images = np.random.default_rng(0).random((16, 8, 8, 1)).astype("float32")
    >>> view = contrast.augmentation.simclr_augmentation(8, color=False)
    >>> model = contrast.models.SimCLR(
    ...     contrast.encoders.ConvNet((8, 16)), contrast.augmentation.MultiView(view, 2), projector=(16, 8)
    ... )
    >>> model.compile("adam")
    >>> history = model.fit(images, batch_size=8, epochs=1, verbose=0)
    >>> model.predict(images, verbose=0).shape
    (16, 16)

    Reference: [Chen et al., 2020](https://arxiv.org/abs/2002.05709)
    """

    normalizes_batch = True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 128),
        temperature: float = 0.1,
        same_id: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, batch_norm=True, dtype=dtype)
        super().__init__(encoder, augmentation, head, dtype=dtype, **kwargs)
        self.temperature, self.same_id = temperature, same_id
        self.make_loss()  # refuses bad options now

    def make_loss(self) -> ContrastiveLoss:
        """The loss of the embeddings."""
        return NTXent(self.temperature, self.same_id or "ignore")

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        z = self.outputs_of(x, y_pred, training)["embeddings"]
        ids = None if self.same_id is None else y
        return total_loss(self, loss=self.make_loss()(ids, z, sample_weight))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature, "same_id": self.same_id}
