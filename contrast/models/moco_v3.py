from collections.abc import Callable, Sequence
from typing import Any

import keras

from contrast.losses import InfoNCE, total_loss
from contrast.models.base import over_views, serialized
from contrast.models.heads import build_predictor, make_head
from contrast.models.taught import TaughtScheme
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class MoCoV3(TaughtScheme):
    r"""Predictions of one view must find the teacher's key of the other view among those of the batch.

    With predictions $q = p(g(f(x)))$ of the student, keys k of the teacher (of unit length, without gradient)
    and teacher weights $\xi \leftarrow m \xi + (1 - m) \theta$,
    $$L = 2 \tau \left( \ell(q^1, k^2) + \ell(q^2, k^1) \right), \qquad
    \ell(q, k) = -\frac{1}{N} \sum_i \log \frac{e^{q_i \cdot k_i / \tau}}{\sum_j e^{q_i \cdot k_j / \tau}}.$$

    Use it with large batches, and with vision transformers, for which it was made. With small batches take
    `MoCoV2`; without negatives it is nearly `BYOL`.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, batch-normalised after each layer, or a layer.
        predictor: likewise, of the student's second head.
        temperature: $\tau$.
        momentum: m at the start, a float or a function of the step.
        total_steps: steps of the training, over which m rises to 1 along half a cosine, as in the paper;
            `None`: it stays.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`, exactly two views; ids are not read.

    Raises:
        ValueError: as for `SimCLR`, or if the predictor does not end in the projector's width.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.MoCoV3(keras.layers.Dense(4), projector=(8, 4), predictor=(8, 4))
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Chen et al., 2021](https://arxiv.org/abs/2104.02057)
    """

    most_views, normalizes_batch = 2, True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (4096, 4096, 256),
        predictor: Sequence[int] | keras.Layer = (4096, 256),
        temperature: float = 0.2,
        momentum: float | Callable[[Any], Any] = 0.99,
        total_steps: int | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        style = {"batch_norm": True, "use_bias": False, "last_norm": "plain", "dtype": dtype}
        head = make_head(projector, **style)
        super().__init__(encoder, augmentation, head, momentum, total_steps, dtype=dtype, **kwargs)
        self.predictor, self.temperature = make_head(predictor, **style), temperature
        InfoNCE(temperature)  # refuses a bad temperature now

    def build_parts(self, features: int) -> None:
        super().build_parts(features)
        build_predictor(self.predictor, self.embedding_dim)

    def outputs(self, views: Sequence[Tensor], training: bool | None) -> dict[str, Any]:
        embeddings = self.project(self.encode(views, training), training)
        predictions = over_views(self.predictor, embeddings, training=training)
        return {"embeddings": embeddings, "predictions": predictions, "views": views}

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        outputs = self.outputs_of(x, y_pred, training)
        q, k = outputs["predictions"], self.teach(outputs["views"], training)
        loss = InfoNCE(self.temperature)
        both = loss(None, (q[:, 0], k[:, 1]), sample_weight) + loss(None, (q[:, 1], k[:, 0]), sample_weight)
        return total_loss(self, loss=2 * self.temperature * both)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **serialized({"predictor": self.predictor}),
            "temperature": self.temperature,
        }
