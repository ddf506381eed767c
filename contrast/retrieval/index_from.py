import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from contrast.features.encoding import check_encoder, encode, preparation
from contrast.features.sources import Files, row_count, source
from contrast.retrieval.array_file import ArrayWriter, array_file
from contrast.retrieval.embedding_index import EmbeddingIndex
from contrast.retrieval.index_file import finish_index
from contrast.retrieval.item_keys import ItemKeys
from contrast.retrieval.matrices import as_array, finite_matrix, unit
from contrast.retrieval.texts import json_texts


def index_from(
    encoder: keras.Layer,
    data: Any,
    path: str | os.PathLike | None = None,
    *,
    keys: Sequence | None = None,
    keys_from_batches: bool = False,
    metadata: Sequence | None = None,
    preprocess: Callable | keras.Layer | None = None,
    distance: str = "cosine",
    exact: bool | None = None,
    batch_size: int = 32,
    verbose: bool = True,
) -> EmbeddingIndex:
    """Encodes data and puts their embeddings into an index, with a progress bar.

    With a path the embeddings go to the file batch by batch, and the index that is returned is memory-mapped:
    neither data nor embeddings need to fit into memory, only keys and metadata. The file is there when
    everything has been encoded, and not before; an interrupted call leaves what was there, and begins anew.
    To keep the embeddings of a costly encoder whatever happens to the index, use `contrast.features`.

    Args:
        encoder: a model or layer with one array `(rows, dim)` as its output; it runs with `training=False`.
        data: an array, tensor or memory map `(rows, ...)`; a dict of arrays; a list of paths, which
            `preprocess` reads; or batches: a `keras.utils.PyDataset`, a `tf.data.Dataset`, a generator or
            anything else to iterate over, once. A batch that is a tuple is `(x, y)` or `(x, y, weight)`, as
            in `fit`; only x counts.
        path: the file of the index; its folder exists. `None`: the index is in memory.
        keys: of all rows, as in `EmbeddingIndex.add`; `None`: their numbers.
        keys_from_batches: whether batches are `(x, keys)`.
        metadata: of all rows, as in `EmbeddingIndex.add`.
        preprocess: a function from a batch (of files: a list of `pathlib.Path`) to what the encoder takes, or
            a Keras layer, called with `training=False`.
        distance, exact: as in `EmbeddingIndex`.
        batch_size: rows of a batch, where `data` is not in batches.
        verbose: whether to show progress.

    Raises:
        ValueError: if data is empty or shuffled while keys follow its order, embeddings are not finite or of
            another shape, keys stand twice, or there is not one key and piece of metadata for each row.
        TypeError: if the encoder is no Keras layer, batches hold no keys, or keys are neither whole numbers
            nor strings.
        FileNotFoundError: if data names files that do not exist.
        OSError: if the file cannot be written, on a full disk for instance.

    Example:

    >>> encoder = contrast.encoders.ConvNet((4,))
    >>> images = np.random.default_rng(0).random((10, 8, 8, 1)).astype("float32")
    >>> index = contrast.retrieval.index_from(encoder, images, verbose=False)
    >>> index.search(encoder.predict(images[3:4], verbose=0)).keys.tolist()
    [[3]]
    """
    check_encoder(encoder)
    if keys_from_batches and keys is not None:
        raise ValueError("Give either keys or keys_from_batches.")
    batches, total = _batches(data, batch_size, keys_from_batches)
    for name, values in (("keys", keys), ("metadata", metadata)):
        _check_length(name, values, getattr(batches, "rows", None))
    prepare, done = preparation(preprocess), 0
    with contextlib.ExitStack() as stack:
        index: Any = EmbeddingIndex(distance, exact=exact)
        if path is not None:
            # The file takes its name only if this block ends well.
            index = IndexWriter(stack.enter_context(array_file(path)), distance, exact)
        for batch in tqdm(batches, "Encoding", total=total, disable=not verbose):
            x, held = _split(batch, keys_from_batches)
            count = len(x) if isinstance(batches, Files) else row_count(x)
            part = slice(done, done + count)
            embeddings = _embeddings(encoder, prepare(x), count, done)
            held = held if keys is None else keys[part]
            index.add(embeddings, held, None if metadata is None else metadata[part])
            done += count
        if not done:
            raise ValueError("data must hold at least one row, got none.")
        for name, values in (("keys", keys), ("metadata", metadata)):
            _check_length(name, values, done)
        if path is not None:
            index.finish()
    return index if path is None else EmbeddingIndex.load(path, verify=False)


class IndexWriter:
    """Writes the file of an index as items come; only keys and metadata are kept in memory."""

    def __init__(self, writer: ArrayWriter, distance: str, exact: bool | None) -> None:
        self.writer, self.distance, self.exact = writer, distance, exact
        self.keys, self.metadata, self.dim = ItemKeys(), [], None

    def add(self, embeddings: np.ndarray, keys: Sequence | None, metadata: Sequence | None) -> None:
        """As `EmbeddingIndex.add`, for embeddings that are known to be finite."""
        if self.dim not in (None, embeddings.shape[1]):
            raise ValueError(f"embeddings must be (rows, {self.dim}), got shape {embeddings.shape}.")
        self.dim = embeddings.shape[1]
        self.keys.append(self.keys.checked(keys, len(embeddings)))
        self.metadata.extend(json_texts(metadata, len(embeddings)) or ())
        self.writer.append("embeddings", unit(embeddings) if self.distance == "cosine" else embeddings)

    def finish(self) -> None:
        """Makes the file complete."""
        finish_index(self.writer, self.distance, self.exact, self.keys, self.metadata)


def _batches(data, batch_size, keys_from_batches):
    """What to iterate over, and how many batches there are, if that is known."""
    known = isinstance(data, np.ndarray | dict | str | os.PathLike) or keras.ops.is_tensor(data)
    paths = isinstance(data, list | tuple) and data and isinstance(data[0], str | os.PathLike)
    if known or paths:
        if keys_from_batches:
            raise TypeError(f"keys_from_batches needs data in batches, got {type(data).__name__}.")
        found = source(data, batch_size)
        return found, found.batches()
    if not isinstance(data, keras.utils.PyDataset | Iterable):
        raise TypeError(
            "data must be an array, a dict of arrays, a list of paths, or batches to iterate over, got "
            f"{type(data).__name__}."
        )
    if not keys_from_batches and getattr(data, "shuffle", False) is True:
        raise ValueError("data must not be shuffled: keys come in the order of its batches.")
    try:
        total = len(data)
    except TypeError:
        total = None
    if isinstance(data, keras.utils.PyDataset):
        return map(data.__getitem__, range(len(data))), total
    return data, total


def _split(batch, keys_from_batches):
    """x as arrays, or paths as they are, and the keys."""
    if not keys_from_batches:
        x, keys = batch[0] if isinstance(batch, tuple) else batch, None
    elif isinstance(batch, tuple | list) and len(batch) >= 2:
        x, keys = batch[0], batch[1]
        keys = keys if isinstance(keys, list | tuple) else as_array(keys).tolist()
        keys = [key.decode() if isinstance(key, bytes) else key for key in keys]
    else:
        raise TypeError(f"Batches must be (x, keys) with keys_from_batches, got {type(batch).__name__}.")
    if isinstance(x, list) and x and isinstance(x[0], os.PathLike):
        return x, keys
    return keras.tree.map_structure(as_array, x), keys


def _embeddings(encoder, x, count, first):
    embeddings = encode(encoder, x)
    if not isinstance(embeddings, np.ndarray) or embeddings.ndim != 2 or len(embeddings) != count:
        got = embeddings.shape if isinstance(embeddings, np.ndarray) else type(embeddings).__name__
        raise ValueError(
            f"The encoder must give one array (rows, dim), with a row for each of the {count} of its input, "
            f"got {got}."
        )
    return finite_matrix("The embeddings", embeddings, first)


def _check_length(name, values, rows):
    if values is not None and rows is not None and len(values) != rows:
        raise ValueError(f"{name} must be one for each of the {rows} rows of data, got {len(values)}.")
