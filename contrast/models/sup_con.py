from collections.abc import Sequence
from typing import Any

import keras

from contrast.losses import SupervisedContrastive, total_loss
from contrast.models.base import Scheme
from contrast.models.heads import make_head
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class SupCon(Scheme):
    r"""Supervised contrastive learning: views of one class attract each other, all others repel.

    With the embeddings z of all views, $s_{ij} = \cos(z_i, z_j) / \tau$ and $P_i$ the other views whose
    sample has the class of i,
    $$L = \frac{1}{|I|} \sum_{i \in I} \frac{-1}{|P_i|} \sum_{p \in P_i} \log
    \frac{e^{s_{ip}}}{\sum_{a \ne i} e^{s_{ia}}}.$$

    Use it where there are class labels: a classifier is then fitted on the features, and does with noisy
    labels and few samples a class better than cross-entropy often does. Without labels use `SimCLR`, which it
    becomes if no ids are given.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, or a layer.
        temperature: $\tau$.
        form: as for `contrast.losses.SupervisedContrastive`.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: `fit(samples, labels)` with an augmentation, `fit(views, labels)` of `(batch, views, ...)` without,
    or a pair `(view, view)`, or a data set of them. Labels are integers. `predict(samples)` gives features.

    Raises:
        ValueError: if the encoder has several outputs or no features `(batch, dim)`, or the data have another
            form.
        TypeError: if labels are not integers.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> views, labels = rng.normal(size=(16, 2, 8)).astype("float32"), rng.integers(3, size=16)
    >>> model = contrast.models.SupCon(keras.layers.Dense(4), projector=(8, 4))
    >>> model.compile("adam")
    >>> history = model.fit(views, labels, batch_size=8, epochs=1, verbose=0)

    Reference: [Khosla et al., 2020](https://arxiv.org/abs/2004.11362)
    """

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 128),
        temperature: float = 0.1,
        form: str = "out",
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, augmentation, make_head(projector, dtype=dtype), dtype=dtype, **kwargs)
        self.temperature, self.form = temperature, form
        SupervisedContrastive(temperature, form)  # refuses bad options now

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        z = self.outputs_of(x, y_pred, training)["embeddings"]
        loss = SupervisedContrastive(self.temperature, self.form)
        return total_loss(self, loss=loss(y, z, sample_weight))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature, "form": self.form}
