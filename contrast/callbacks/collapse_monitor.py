import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from contrast.callbacks.embedding_callback import EmbeddingCallback, sample_arrays
from contrast.metrics.effective_rank import effective_rank
from contrast.metrics.uniformity import uniformity
from contrast.ops import l2_normalize

logger = logging.getLogger("contrast")

NAN, COMPLETE, DIMENSIONAL = "nan", "complete", "dimensional"
ADVICE = {
    NAN: (
        "Try a smaller learning rate or a warm-up, gradient clipping (clipnorm=1.0), a larger temperature, "
        "float32 or bfloat16 instead of float16, and look for zero vectors or NaN in the data."
    ),
    COMPLETE: (
        "Without negatives something must hold embeddings apart: a stop-gradient with a predictor, or a "
        "momentum encoder (contrast.layers.MomentumEncoder), and batch normalisation in the projector. With "
        "negatives try more of them (a larger batch, contrast.layers.MemoryQueue), a smaller temperature and "
        "a smaller learning rate, and check that the views of a sample are not those of another."
    ),
    DIMENSIONAL: (
        "Try more negatives (a larger batch, contrast.layers.MemoryQueue), a smaller temperature, stronger "
        "augmentation, batch normalisation and a wider hidden layer in the projector, less weight decay, and "
        "measure before the projector as well. Where ids are a few classes, embeddings need no more "
        "directions than classes."
    ),
}


class CollapseMonitor(EmbeddingCallback):
    r"""Measures after an epoch how embeddings of some samples are spread, and warns when they collapse.

    Into the logs, and so into `history`, go, with the prefix `name`:

    - `_uniformity`: `contrast.metrics.uniformity`; lower is better, 0 if all embeddings are alike;
    - `_effective_rank`: `contrast.metrics.effective_rank` of the centred embeddings, and
      `_relative_rank`, the same divided by the width of the embedding;
    - `_std`: the standard deviation of each dimension of the unit vectors, times $\sqrt{dim}$, mean over
      dimensions: near 1 for vectors spread over the sphere, 0 if all are alike;
    - `_cosine`: mean cosine between two samples.

    The logger `contrast` warns in words, and says what to try, once for each of the following until it has
    cleared; only the first that holds is reported:

    - an embedding that is not finite: all measures are NaN;
    - complete collapse: the variance of the unit vectors is below 1 - `cosine_threshold`, that is, cosines
      between samples are above it;
    - dimensional collapse: of r directions that there could be, the smaller of dim and samples - 1, the
      effective rank is below 1 + `rank_threshold` (r - 1).

    Args:
        samples: array, or a tuple, list or dict of arrays as the encoder takes them, with at least two
            samples on the first axis; some hundreds, more than the embedding has dimensions, and none of
            them twice.
        encoder: layer, model or function that embeds them, such as a part of the model; `None`: the model
            that is trained. Layers are called with `training=False`.
        every: measure every so many epochs; in the others nothing is logged.
        select: function that takes the embeddings out of what the encoder returns. `None`: the output
            itself, the first of a tuple or list. Embeddings are `(n, dim)`, or `(n, views, dim)`, of which
            view 0 is measured.
        batch_size: samples embedded at once.
        cosine_threshold: in (0, 1).
        rank_threshold: in (0, 1).
        name: prefix in the logs.

    Raises:
        ValueError: if there are fewer than two samples, arrays differ in length, an argument lies outside its
            range, or, in training, embeddings have another shape.
        TypeError: if the encoder cannot be called.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile("sgd", "mse")
    >>> monitor = contrast.callbacks.CollapseMonitor(images)
    >>> history = model.fit(images, np.zeros((32, 4)), callbacks=[monitor], verbose=0).history
    >>> 1 < history["embedding_effective_rank"][0] <= 4
    True

    References: [Chen and He, 2021](https://arxiv.org/abs/2011.10566), section 4, the standard deviation;
        [Jing et al., 2022](https://arxiv.org/abs/2110.09348), dimensional collapse.
    """

    def __init__(
        self,
        samples: Any,
        encoder: Callable[..., Any] | None = None,
        every: int = 1,
        select: Callable[[Any], Any] | None = None,
        batch_size: int = 256,
        cosine_threshold: float = 0.99,
        rank_threshold: float = 0.1,
        name: str = "embedding",
    ) -> None:
        super().__init__(encoder, every, select, batch_size, name)
        self.samples = sample_arrays("samples", samples, least=2)
        for argument, value in (("cosine_threshold", cosine_threshold), ("rank_threshold", rank_threshold)):
            if not 0 < value < 1:
                raise ValueError(f"{argument} must lie in (0, 1), got {value}.")
        self.cosine_threshold, self.rank_threshold = cosine_threshold, rank_threshold
        self._reported = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._reported = None

    def measures(self, epoch: int) -> dict[str, float]:
        embeddings = self.embed()
        measures = measure(embeddings)
        kind, finding = self._diagnosis(embeddings, measures)
        if kind is not None and kind != self._reported:
            logger.warning("epoch %d, %s: %s %s", epoch + 1, self.name, finding, ADVICE[kind])
        self._reported = kind
        return measures

    def embed(self) -> np.ndarray:
        """The embeddings of the samples as they are now, a float32 array `(n, dim)`."""
        return self.encode(self.samples)

    def _diagnosis(self, embeddings, measures):
        """The kind of collapse, or `None`, and what was seen."""
        if not np.isfinite(embeddings).all():
            broken = int((~np.isfinite(embeddings)).any(axis=1).sum())
            return NAN, f"{broken} of {len(embeddings)} embeddings are not finite."
        unit = _unit(embeddings)
        if unit.var(axis=0).sum() < 1 - self.cosine_threshold:
            return COMPLETE, (
                f"complete collapse: all embeddings are nearly alike, mean cosine {measures['cosine']:.4f}, "
                f"standard deviation {measures['std']:.2g} of the 1 of a spread embedding."
            )
        dim, rank = embeddings.shape[1], measures["effective_rank"]
        most = min(dim, len(embeddings) - 1)
        if most > 1 and rank < 1 + self.rank_threshold * (most - 1):
            return DIMENSIONAL, (
                f"dimensional collapse: the embeddings use about {rank:.1f} directions of the {most} that "
                f"there could be, with dim {dim} and {len(embeddings)} samples."
            )
        return None, None


def measure(embeddings: np.ndarray) -> dict[str, float]:
    """What `CollapseMonitor` logs, of embeddings `(n, dim)`; all NaN if one is not finite."""
    count, dim = embeddings.shape
    if not np.isfinite(embeddings).all():
        keys = ("uniformity", "effective_rank", "relative_rank", "std", "cosine")
        return dict.fromkeys(keys, math.nan)
    unit = _unit(embeddings)
    rank = float(ops.convert_to_numpy(effective_rank(embeddings, center=True)))
    pairs = np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()
    return {
        "uniformity": float(ops.convert_to_numpy(uniformity(embeddings))),
        "effective_rank": rank,
        "relative_rank": rank / dim,
        "std": float(unit.std(axis=0).mean() * math.sqrt(dim)),
        "cosine": float(pairs / (count * (count - 1))),
    }


def _unit(embeddings):
    return ops.convert_to_numpy(l2_normalize(ops.convert_to_tensor(embeddings))).astype("float64")
