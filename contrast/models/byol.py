from collections.abc import Callable, Sequence
from typing import Any

import keras

from contrast.losses import total_loss
from contrast.models.base import over_views, serialized
from contrast.models.heads import build_predictor, make_head
from contrast.models.predictions import swapped_cosines
from contrast.models.taught import TaughtScheme
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class BYOL(TaughtScheme):
    r"""The student predicts, from one view, the teacher's embedding of the other; there are no negatives.

    With predictions $q = p(g(f(x)))$ of the student, targets z of the teacher (without gradient) and teacher
    weights $\xi \leftarrow m \xi + (1 - m) \theta$,
    $$L = \frac{1}{N} \sum_i \left( 2 - 2 \cos(q^1_i, z^2_i) \right) + \left( 2 - 2 \cos(q^2_i, z^1_i)
    \right).$$

    Use it where negatives do harm, as with many near duplicates. It depends on the teacher, the predictor and
    batch normalisation in the heads; watch it with `contrast.callbacks.CollapseMonitor`. `SimSiam` does
    without a teacher.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, whose hidden layers are batch-normalised, or a layer.
        predictor: likewise, of the student's second head.
        momentum: m at the start, a float or a function of the step.
        total_steps: steps of the training, over which m rises to 1 along half a cosine, as in the paper;
            `None`: it stays.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`, exactly two views; ids are not read.

    Raises:
        ValueError: as for `SimCLR`, or if the predictor does not end in the projector's width.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.BYOL(keras.layers.Dense(4), projector=(8, 4), predictor=(8, 4))
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Grill et al., 2020](https://arxiv.org/abs/2006.07733)
    """

    most_views, normalizes_batch = 2, True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (4096, 256),
        predictor: Sequence[int] | keras.Layer = (4096, 256),
        momentum: float | Callable[[Any], Any] = 0.996,
        total_steps: int | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, batch_norm=True, dtype=dtype)
        super().__init__(encoder, augmentation, head, momentum, total_steps, dtype=dtype, **kwargs)
        self.predictor = make_head(predictor, batch_norm=True, dtype=dtype)

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
        q, z = outputs["predictions"], self.teach(outputs["views"], training)
        return total_loss(self, mean=4.0, loss=2 * swapped_cosines(q, z, sample_weight))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **serialized({"predictor": self.predictor})}
