from collections.abc import Sequence
from typing import Any

import keras

from contrast.losses import total_loss
from contrast.models.base import Scheme, over_views, serialized
from contrast.models.heads import build_predictor, head_dim, make_head
from contrast.models.predictions import swapped_cosines
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class SimSiam(Scheme):
    r"""Each view predicts the embedding of the other, which is held constant: no negatives, no teacher.

    With embeddings $z = g(f(x))$, predictions $q = p(z)$ and sg for "no gradient flows in here",
    $$L = -\frac{1}{2 N} \sum_i \cos(q^1_i, \mathrm{sg}(z^2_i)) + \cos(q^2_i, \mathrm{sg}(z^1_i)).$$

    Use it as the smallest scheme without negatives: it works with batches from 64 on. The predictor and the
    stop-gradient keep it from collapse; watch it with `contrast.callbacks.CollapseMonitor`. `BYOL` adds a
    teacher, and is usually better after long trainings.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`; `model.encoder`.
        augmentation: a layer that draws the views inside the step, or `None` where the data are views.
        projector: widths of the projection head, batch-normalised after each layer, or a layer.
        predictor: widths of the predictor, a bottleneck whose hidden layer is batch-normalised, or a layer.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data: as for `SimCLR`, exactly two views; ids are not read.

    Raises:
        ValueError: as for `SimCLR`, or if the predictor does not end in the projector's width.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.SimSiam(keras.layers.Dense(4), projector=(8, 8), predictor=(4, 8))
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Chen and He, 2021](https://arxiv.org/abs/2011.10566)
    """

    most_views, normalizes_batch = 2, True

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 2048, 2048),
        predictor: Sequence[int] | keras.Layer = (512, 2048),
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        head = make_head(projector, batch_norm=True, use_bias=False, last_norm="plain", dtype=dtype)
        super().__init__(encoder, augmentation, head, dtype=dtype, **kwargs)
        self.predictor = make_head(predictor, batch_norm=True, dtype=dtype)

    def build_parts(self, features: int) -> None:
        dim = head_dim(self.projector, features)
        build_predictor(self.predictor, dim)

    def outputs(self, views: Sequence[Tensor], training: bool | None) -> dict[str, Any]:
        embeddings = self.project(self.encode(views, training), training)
        predictions = over_views(self.predictor, embeddings, training=training)
        return {"embeddings": embeddings, "predictions": predictions}

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        outputs = self.outputs_of(x, y_pred, training)
        both = swapped_cosines(outputs["predictions"], outputs["embeddings"], sample_weight)
        return total_loss(self, loss=both / 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **serialized({"predictor": self.predictor})}
