"""What the file of an `EmbeddingIndex` holds."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from contrast.retrieval.array_file import ArrayWriter, read_arrays
from contrast.retrieval.item_keys import ItemKeys
from contrast.retrieval.texts import Texts

KIND = "EmbeddingIndex"


class StoredIndex(NamedTuple):
    """An index as it was written."""

    distance: str
    exact: bool | None
    embeddings: np.ndarray
    keys: ItemKeys
    metadata: Sequence[str]
    graph: np.ndarray | None

    @property
    def dim(self) -> int | None:
        """The width of the embeddings, where there were any."""
        return self.embeddings.shape[1] or None


def finish_index(
    writer: ArrayWriter,
    distance: str,
    exact: bool | None,
    keys: ItemKeys,
    metadata: Sequence[str],
    graph: np.ndarray | None = None,
) -> None:
    """Writes what follows the array `embeddings`, which makes the file complete."""
    if keys.are_texts:
        _append_texts(writer, "keys", keys.values)
    else:
        writer.append("keys", keys.values.astype("<i8"))
    if len(metadata):
        _append_texts(writer, "metadata", metadata)
    if graph is not None:
        writer.append("graph", graph)
    writer.finish({"kind": KIND, "distance": distance, "exact": exact})


def read_index(path: str | os.PathLike, memory_map: bool, verify: bool) -> StoredIndex:
    """What a file holds.

    Raises:
        ValueError: with what is wrong, if it is none of an index, truncated, damaged or of a later version.
    """
    description, arrays = read_arrays(path, memory_map, verify)
    if description.get("kind") != KIND:
        raise ValueError(f"it holds {description.get('kind')!r}")
    embeddings, keys = arrays["embeddings"], arrays["keys"]
    metadata: Sequence[str] = []
    keys = Texts(keys, arrays["keys ends"]) if "keys ends" in arrays else np.array(keys)
    if "metadata" in arrays:
        metadata = Texts(arrays["metadata"], arrays["metadata ends"])
    if len(embeddings) != len(keys) or len(metadata) not in (0, len(keys)):
        raise ValueError("it is damaged: there is not one key for each embedding")
    return StoredIndex(
        description["distance"],
        description["exact"],
        embeddings,
        ItemKeys(keys),
        metadata,
        arrays.get("graph"),
    )


def _append_texts(writer, name, texts):
    texts = texts if isinstance(texts, Texts) else Texts.of(texts)
    writer.append(name, texts.data)
    writer.append(f"{name} ends", texts.ends.astype("<i8"))
