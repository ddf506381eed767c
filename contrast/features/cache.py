import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from contrast.features.digests import digest_of, layer_digests, preprocessing_digest
from contrast.features.encoding import check_encoder, encode, preparation
from contrast.features.entry import RECORD, Writer, open_arrays, read_record
from contrast.features.sources import Files, row_count, source

logger = logging.getLogger("contrast")


def cached_features(
    encoder: keras.Layer,
    data: Any,
    folder: str | os.PathLike,
    *,
    preprocess: Callable | keras.Layer | None = None,
    version: str = "",
    batch_size: int = 32,
    verbose: bool = True,
) -> Any:
    """Outputs of a frozen encoder, computed once and then read from disk.

    The encoder runs with `training=False`, batch by batch; neither inputs nor features need to fit into
    memory. A folder holds any number of entries, each below the digest of all that its features depend on:

    - the encoder: its config, the code of its classes, its dtype policies and the values of its weights;
    - the preprocessing: name and bytecode of the function, what it closes over, and `version`; config and
      weights of a layer. What a function calls in other modules does not count: change `version` then;
    - the input: the bytes, shapes and types of arrays, and the names and contents of files, in their order.
      It is read for that at each call, which is much faster than encoding it. Folders and times of files do
      not count.

    Backend and versions of the packages are recorded but do not count. An interrupted call leaves no entry,
    and the next one begins anew. When the disk is full or cannot be written, a warning says so and the
    features are returned as arrays in memory. Processes that compute the same features at once do not disturb
    each other. To forget features delete their folder.

    Args:
        encoder: a model or layer whose outputs are an array, or a dict, list or tuple of arrays, with one row
            for each row of the input.
        data: an array, tensor or memory map `(rows, ...)`; a dict of arrays; a list of paths, which
            `preprocess` reads; or batches: a `keras.utils.PyDataset`, a list of batches, or anything else
            that gives the same batches each time it is iterated over. A batch that is a tuple is `(x, y)` or
            `(x, y, weight)`, as in `fit`; only x counts.
        folder: where entries are kept; it is made if it does not exist.
        preprocess: a function from a batch (of files: a list of `pathlib.Path`) to what the encoder takes, or
            a Keras layer, called with `training=False`.
        version: of the preprocessing, in words of your own.
        batch_size: rows of a batch, where `data` is not in batches.
        verbose: whether to show progress.

    Returns:
        Read-only memory maps `(rows, ...)`, in the structure of the encoder's outputs. bfloat16 is stored as
        float32.

    Raises:
        ValueError: if data is empty, shuffled or not the same twice, rows are lost, the encoder has no
            config, or the preprocessing holds values in which a change would not be noticed and `version` is
            empty.
        TypeError: if the encoder is no Keras layer, or data can be iterated over only once.
        FileNotFoundError: if data names files that do not exist.

    Example:

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> encoder = contrast.encoders.ConvNet((4,))
    >>> images = np.random.default_rng(0).random((10, 8, 8, 1)).astype("float32")
    >>> features = cached_features(encoder, images, folder, verbose=False)
    >>> features.shape
    (10, 4)
    """
    folder = Path(folder)
    batches = source(data, batch_size)
    if isinstance(batches, Files) and preprocess is None:
        raise ValueError("preprocess must be a function that reads files, since data is a list of paths.")
    prepare = preparation(preprocess)
    _build(encoder, preprocess, batches, prepare)
    key = _key(encoder, preprocess, version)
    key["input"] = batches.digest(lambda items, total: _progress(items, total, "Reading", verbose))
    entry = folder / digest_of(key)
    record = read_record(entry)
    if record is not None:
        _warn_if_not_finite(record["not_finite"], batches.rows)
        return open_arrays(entry, record)
    _log_what_differs(folder, key)

    writer = Writer(entry, batches.rows)
    try:
        for batch in _progress(batches, batches.batches(), "Encoding", verbose):
            prepared = prepare(batch)
            features = encode(encoder, prepared)
            given = len(batch) if isinstance(batches, Files) else row_count(batch)
            if row_count(features) != given:
                raise ValueError(
                    f"The encoder must give one row for each row of its input, got {row_count(features)} for "
                    f"{given}."
                )
            writer.add(features)
        record = {
            "key": key,
            "backend": keras.config.backend(),
            "versions": {"keras": keras.__version__, "numpy": np.__version__},
        }
        features = writer.finish(record)
    finally:
        writer.discard()
    _warn_if_not_finite(writer.not_finite, batches.rows)
    return features


def open_features(
    path: str | os.PathLike,
    encoder: keras.Layer,
    *,
    data: Any = None,
    preprocess: Callable | keras.Layer | None = None,
    version: str = "",
) -> Any:
    """Features that `cached_features` stored, if they are those of this encoder and preprocessing.

    Args:
        path: the folder of the cache, or of one of its entries.
        encoder: built, with the weights that the features were computed with.
        data: what was encoded; `None`: whatever it was, if the cache holds only one entry that fits.
        preprocess, version: as for `cached_features`.

    Returns:
        Read-only memory maps, as `cached_features` returns them.

    Raises:
        ValueError: if no entry fits, with words that say what differs, or several do.
        FileNotFoundError: if there is no complete entry.

    Example:

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> features = cached_features(encoder, np.ones((4, 3), "float32"), folder, verbose=False)
    >>> open_features(folder, encoder).shape
    (4, 2)
    """
    path = Path(path)
    folders = [path] if (path / RECORD).exists() else sorted(path.glob("[!.]*"))
    records = {folder: record for folder in folders if (record := read_record(folder)) is not None}
    if not records:
        raise FileNotFoundError(f"{path} holds no complete features.")
    key = _key(encoder, preprocess, version)
    if data is not None:
        key["input"] = source(data, 1).digest(lambda items, total: items)
    differing = {folder: _differing(key, record["key"]) for folder, record in records.items()}
    fitting = [folder for folder, parts in differing.items() if not parts]
    if len(fitting) > 1:
        raise ValueError(f"{path} holds features of {len(fitting)} inputs for this encoder; give data.")
    if not fitting:
        closest = min(differing, key=lambda folder: len(differing[folder]))
        raise ValueError(
            f"{closest} holds features of something else: {_in_words(differing[closest])}. Compute them with "
            "cached_features."
        )
    record = records[fitting[0]]
    _warn_if_not_finite(record["not_finite"], record["files"][0]["shape"][0])
    return open_arrays(fitting[0], record)


def _key(encoder, preprocess, version):
    check_encoder(encoder)
    key = {f"encoder {part}": digest for part, digest in layer_digests(encoder).items()}
    return {**key, "preprocessing": preprocessing_digest(preprocess, version)}


def _build(encoder, preprocess, batches, prepare):
    """Layers that have not been called have no weights yet: they are called with one batch."""
    check_encoder(encoder)
    roots = [encoder, preprocess] if isinstance(preprocess, keras.Layer) else [encoder]
    if all(layer.built for root in roots for layer in root._flatten_layers()):
        return
    for batch in batches:
        encode(encoder, prepare(batch))
        return


def _progress(items, total, words, verbose):
    return tqdm(items, words, total=total, disable=not verbose)


def _differing(key, other):
    return [part for part, digest in key.items() if other.get(part) != digest]


def _in_words(parts):
    return ", ".join(parts) + (" differs" if len(parts) == 1 else " differ")


def _log_what_differs(folder, key):
    records = (read_record(entry) for entry in folder.glob("[!.]*"))
    others = [_differing(key, record["key"]) for record in records if record is not None]
    if others:
        logger.info("No features in %s fit: %s.", folder, _in_words(min(others, key=len)))


def _warn_if_not_finite(found, total):
    if found["rows"]:
        logger.warning(
            "The features of %d of %d rows are not finite, the first of them row %d.",
            found["rows"],
            total,
            found["first"],
        )
