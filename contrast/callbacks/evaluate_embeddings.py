import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from contrast.callbacks.embedding_callback import EmbeddingCallback, sample_arrays
from contrast.evaluation import knn_probe, linear_probe, retrieval_scores

logger = logging.getLogger("contrast")


class EvaluateEmbeddings(EmbeddingCallback):
    """Measures after an epoch how good embeddings are, with any function of them.

    The numbers go into the logs, and so into `history`, as `<name>_<key>`. `LinearProbe`, `KNNProbe` and
    `RetrievalEvaluation` are this with a function of `contrast.evaluation`; `CollapseMonitor` needs no
    labels.

    Args:
        scores: function from `embed` to a dict of floats, where `embed(samples)` gives the embeddings of
            samples as they are now, float32 `(n, dim)`. Samples are an array, or a tuple, list or dict of
            arrays, as the encoder takes them.
        encoder: layer, model or function that embeds, such as a part of the model; `None`: the model that is
            trained. Layers are called with `training=False`.
        every: measure every so many epochs; in the others nothing is logged.
        select: function that takes the embeddings out of what the encoder returns. `None`: the output itself,
            the first of a tuple or list. Embeddings are `(n, dim)`, or `(n, views, dim)`, of which view 0 is
            taken.
        batch_size: samples embedded at once.
        name: prefix in the logs.

    Once an embedding is not finite there is nothing to measure: the logger `contrast` warns, the numbers are
    left out, and the training goes on.

    Raises:
        TypeError: if scores or the encoder cannot be called.
        ValueError: if every or batch_size is no positive int, or, in training, embeddings have another shape.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile("sgd", "mse")
    >>> likeness = contrast.callbacks.EvaluateEmbeddings(
    ...     lambda embed: {"cka": contrast.evaluation.linear_cka(embed(x), x)}, name="input"
    ... )
    >>> history = model.fit(x, np.zeros((32, 4)), callbacks=[likeness], verbose=0).history
    >>> 0 < history["input_cka"][0] < 1
    True
    """

    def __init__(
        self,
        scores: Callable[[Callable[[Any], np.ndarray]], dict[str, float]],
        encoder: Callable[..., Any] | None = None,
        every: int = 1,
        select: Callable[[Any], Any] | None = None,
        batch_size: int = 256,
        name: str = "evaluation",
    ) -> None:
        super().__init__(encoder, every, select, batch_size, name)
        if not callable(scores):
            raise TypeError(f"scores must be a function of embed, got {type(scores).__name__}.")
        self.scores = scores

    def measures(self, epoch: int) -> dict[str, float]:
        try:
            return self.scores(self._finite)
        except _NotFiniteError as error:
            logger.warning("epoch %d, %s: %s", epoch + 1, self.name, error)
            return {}

    def _finite(self, samples):
        embeddings = self.encode(samples)
        broken = int((~np.isfinite(embeddings)).any(axis=1).sum())
        if broken:
            raise _NotFiniteError(f"not measured, {broken} of {len(embeddings)} embeddings are not finite.")
        return embeddings


class _NotFiniteError(Exception):
    """Some embeddings are NaN or infinite."""


class LinearProbe(EvaluateEmbeddings):
    """`contrast.evaluation.linear_probe` of the embeddings after an epoch.

    Args:
        train, test: pairs of samples and labels. What is chosen by the numbers of `test`, such as the epoch,
            is no longer a result on `test`.
        encoder, every, select, batch_size, name: as in `EvaluateEmbeddings`.
        **kwargs: further arguments of the probe, such as `C`, which saves the time of choosing it.

    Logs: `<name>_accuracy`, `<name>_balanced_accuracy`, `<name>_C`.

    Example:

    >>> x, y = np.eye(8, dtype="float32")[np.arange(32) % 8], np.arange(32) % 2
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    >>> model.compile("sgd", "mse")
    >>> probe = contrast.callbacks.LinearProbe(train=(x[:16], y[:16]), test=(x[16:], y[16:]), C=10.0)
    >>> model.fit(x, x, callbacks=[probe], verbose=0).history["linear_probe_accuracy"]
    [1.0]
    """

    def __init__(
        self,
        train: tuple[Any, ArrayLike],
        test: tuple[Any, ArrayLike],
        encoder: Callable[..., Any] | None = None,
        every: int = 1,
        select: Callable[[Any], Any] | None = None,
        batch_size: int = 256,
        name: str = "linear_probe",
        **kwargs: Any,
    ) -> None:
        scores = _of_two_parts(linear_probe, train, test, kwargs)
        super().__init__(scores, encoder, every, select, batch_size, name)


class KNNProbe(EvaluateEmbeddings):
    """`contrast.evaluation.knn_probe` of the embeddings after an epoch: nothing to train, hence quick.

    Args:
        train, test: pairs of samples and labels. What is chosen by the numbers of `test`, such as the epoch,
            is no longer a result on `test`.
        encoder, every, select, batch_size, name: as in `EvaluateEmbeddings`.
        **kwargs: further arguments of the probe, such as `k`.

    Logs: `<name>_accuracy`, `<name>_balanced_accuracy`.

    Example:

    >>> x, y = np.eye(8, dtype="float32")[np.arange(32) % 8], np.arange(32) % 2
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    >>> model.compile("sgd", "mse")
    >>> probe = contrast.callbacks.KNNProbe(train=(x[:16], y[:16]), test=(x[16:], y[16:]), k=2)
    >>> model.fit(x, x, callbacks=[probe], verbose=0).history["knn_probe_accuracy"]
    [1.0]
    """

    def __init__(
        self,
        train: tuple[Any, ArrayLike],
        test: tuple[Any, ArrayLike],
        encoder: Callable[..., Any] | None = None,
        every: int = 1,
        select: Callable[[Any], Any] | None = None,
        batch_size: int = 256,
        name: str = "knn_probe",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            _of_two_parts(knn_probe, train, test, kwargs), encoder, every, select, batch_size, name
        )


class RetrievalEvaluation(EvaluateEmbeddings):
    """`contrast.evaluation.retrieval_scores` of the embeddings after an epoch.

    Args:
        queries: pair of samples and labels.
        gallery: pair of samples and labels; `None`: the queries, each without itself.
        encoder, every, select, batch_size, name: as in `EvaluateEmbeddings`.
        **kwargs: further arguments of the scores, such as `ks`.

    Logs: `<name>_map`, `<name>_recall_at_1` and the others of `retrieval_scores`.

    Example:

    >>> x, y = np.eye(8, dtype="float32")[np.arange(32) % 8], np.arange(32) % 8
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    >>> model.compile("sgd", "mse")
    >>> retrieval = contrast.callbacks.RetrievalEvaluation((x, y), ks=(1,))
    >>> model.fit(x, x, callbacks=[retrieval], verbose=0).history["retrieval_recall_at_1"]
    [1.0]
    """

    def __init__(
        self,
        queries: tuple[Any, ArrayLike],
        gallery: tuple[Any, ArrayLike] | None = None,
        encoder: Callable[..., Any] | None = None,
        every: int = 1,
        select: Callable[[Any], Any] | None = None,
        batch_size: int = 256,
        name: str = "retrieval",
        **kwargs: Any,
    ) -> None:
        queries, query_labels = _samples_and_labels("queries", queries)
        parts = () if gallery is None else _samples_and_labels("gallery", gallery)

        def scores(embed):
            others = (embed(parts[0]), parts[1]) if parts else ()
            return retrieval_scores(embed(queries), query_labels, *others, **kwargs)

        super().__init__(scores, encoder, every, select, batch_size, name)


def _of_two_parts(probe, train, test, options):
    train, train_labels = _samples_and_labels("train", train)
    test, test_labels = _samples_and_labels("test", test)
    return lambda embed: probe(embed(train), train_labels, embed(test), test_labels, **options)


def _samples_and_labels(name, part):
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise ValueError(f"{name} must be a pair of samples and labels, got {type(part).__name__}.")
    return sample_arrays(name, part[0]), part[1]
