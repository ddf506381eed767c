import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from contrast.retrieval.array_file import array_file
from contrast.retrieval.calibration import Calibration
from contrast.retrieval.index_file import finish_index, read_index
from contrast.retrieval.item_keys import NO_NUMBER, NO_TEXT, ItemKeys
from contrast.retrieval.matrices import as_array, finite_matrix, unit
from contrast.retrieval.nearest_neighbors import NearestNeighbors
from contrast.retrieval.texts import json_texts

# The metric of NearestNeighbors, and the distance from its similarity.
DISTANCES = {
    "cosine": ("cosine", lambda similarities: 1 - similarities),
    "euclidean": ("euclidean", lambda similarities: -similarities),
    "inner_product": ("dot", lambda similarities: -similarities),
}


class SearchResult(NamedTuple):
    """What `EmbeddingIndex.search` and `match` return, the nearest first.

    Attributes:
        keys: int64 or, for strings, object: `(queries, k)` of `search`, `(queries,)` of `match`. Where there
            is no item stands -1 or, for strings, `None`.
        distances: float32 of the same shape; infinity where there is no item.
    """

    keys: np.ndarray
    distances: np.ndarray


class EmbeddingIndex:
    """Items by their embeddings: add, remove, search, match, save, load.

    Use it for items that have names and come and go; use `NearestNeighbors` for a fixed bank of rows. What is
    nearest is found as there: exactly in NumPy on the host, tile by tile, so that every backend finds the
    same, or with a graph of `usearch` (extra `retrieval`), which is faster for a large index that is asked
    often and may miss some items. The distances that are returned are exact in both cases. Of equal distances
    the item that was added first comes first. How well a labelled set is retrieved is told by
    `contrast.evaluation.retrieval_scores(queries, labels, index.embeddings, item_labels)`, by cosine.

    Args:
        distance: `"cosine"`, 1 - q · x / (|q| |x|), for which embeddings are kept at unit length, and which
            is 1 for a zero vector; `"euclidean"`, |q - x|; `"inner_product"`, -q · x.
        dim: the width of the embeddings; `None`: that of the first ones that are added.
        exact: `True` or `False` (the graph, which is built at the first search and takes up what is added; a
            removal lets it be built anew); `None`: exact up to 1,000,000 items, or if usearch is missing.

    Attributes:
        distance, dim: as above.
        memory_mapped: whether embeddings are read from the file that was loaded.

    Raises:
        ValueError: if the distance is unknown or the width not positive.
        ModuleNotFoundError: at the first search with `exact=False`, if usearch is missing.

    Example:

    >>> index = contrast.retrieval.EmbeddingIndex()
    >>> index.add([[1.0, 0.0], [0.0, 2.0]], keys=["cat", "dog"], metadata=[{"legs": 4}, None]).tolist()
    ['cat', 'dog']
    >>> found = index.search([[0.0, 1.0], [3.0, 3.0]], k=1)
    >>> found.keys.tolist(), found.distances.round(3).tolist()
    ([['dog'], ['cat']], [[0.0], [0.2930000126361847]])
    >>> index.match([[0.0, 1.0], [3.0, 3.0]], threshold=0.1).keys.tolist()
    ['dog', None]
    >>> index.metadata(["cat"])
    [{'legs': 4}]
    """

    def __init__(self, distance: str = "cosine", dim: int | None = None, exact: bool | None = None) -> None:
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, got {distance!r}.")
        if dim is not None and dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}.")
        self.distance, self.dim, self.exact = distance, dim, exact
        self.memory_mapped = False
        self._metric, self._distances = DISTANCES[distance]
        self._neighbors: NearestNeighbors | None = None
        self._pending: list[np.ndarray] = []
        self._keys = ItemKeys()
        self._metadata: Sequence[str] = []

    def __len__(self) -> int:
        """The number of items."""
        return len(self._keys)

    def __contains__(self, key: Any) -> bool:
        """Whether there is an item with this key."""
        return isinstance(key, str | int | np.integer) and key in self._keys.rows

    @property
    def keys(self) -> np.ndarray:
        """A copy of all keys in the order in which they were added, int64 or, for strings, object."""
        return self._keys.array()

    @property
    def embeddings(self) -> np.ndarray:
        """The embeddings in the order of the keys, float32 `(items, dim)`; they cannot be written to."""
        self._settle()
        bank = np.empty((0, self.dim or 0), "float32") if self._neighbors is None else self._neighbors.bank
        view = bank.view()
        view.flags.writeable = False
        return view

    def metadata(self, keys: ArrayLike) -> list:
        """What was added with these keys, in their order; `None` for items that came without.

        Raises:
            KeyError: if the index does not hold one of them.
        """
        rows = self._keys.rows_of(keys)
        return [json.loads(self._metadata[row]) if len(self._metadata) else None for row in rows.tolist()]

    def add(
        self,
        embeddings: ArrayLike,
        keys: ArrayLike | None = None,
        metadata: Sequence | None = None,
    ) -> np.ndarray:
        """Adds items, all or none of them.

        An index that is memory-mapped is copied into memory, at the next search; its file stays as it is
        until `save`.

        Args:
            embeddings: float array or tensor `(rows, dim)`.
            keys: whole numbers from 0 or strings `(rows,)`, different and new; `None`: the numbers after the
                largest one so far.
            metadata: for each row what JSON can write, such as a dict, a string or `None`.

        Returns:
            The keys, int64 or, for strings, object `(rows,)`.

        Raises:
            ValueError: if embeddings have another width or are not finite, a key is negative, stands twice or
                is in the index already, or there is not one key and one piece of metadata for each row.
            TypeError: if keys are of another kind than those in the index, or metadata cannot be written as
                JSON.
        """
        rows = self._prepared(embeddings)
        keys = self._keys.checked(keys, len(rows))
        texts = json_texts(metadata, len(rows))
        self.memory_mapped = False
        if texts is not None or len(self._metadata):
            earlier = self._metadata if len(self._metadata) else ["null"] * len(self)
            self._metadata = earlier if isinstance(earlier, list) else list(earlier)
            self._metadata.extend(["null"] * len(rows) if texts is None else texts)
        self._keys.append(keys)
        if len(rows):
            self._pending.append(rows)
        self.dim = rows.shape[1]
        return np.array(keys, object) if isinstance(keys, list) else keys

    def remove(self, keys: ArrayLike) -> None:
        """Forgets items, all or none of them; a memory-mapped index is copied into memory first.

        Args:
            keys: one key, or several.

        Raises:
            KeyError: if the index does not hold one of them; it says how many.
        """
        rows = np.unique(self._keys.rows_of(keys))
        if not len(rows):
            return
        self._settle()
        self.memory_mapped = False
        kept = np.setdiff1d(np.arange(len(self)), rows)
        bank = self._neighbors.bank[kept]
        self._neighbors = NearestNeighbors.over(bank, self._metric, self.exact) if len(kept) else None
        self._keys.keep(kept)
        self._metadata = [self._metadata[row] for row in kept] if len(self._metadata) else []

    def search(self, queries: ArrayLike, k: int = 1) -> SearchResult:
        """The k nearest items of each query.

        Where the index holds fewer than k items all are returned, and the columns that are left are filled
        up: key -1 (`None` if keys are strings), distance infinity.

        Args:
            queries: float array or tensor `(queries, dim)`; may be a memory map, and may be empty.
            k: at least 1.

        Raises:
            ValueError: if the index is empty, k below 1, or queries have another width or are not finite.
        """
        if not len(self):
            raise ValueError("The index is empty: add embeddings before the search.")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}.")
        self._settle()
        found = self._neighbors.search(queries, min(k, len(self)))
        missing = ((0, 0), (0, k - found.ids.shape[1]))
        rows = np.pad(found.ids, missing, constant_values=-1)
        distances = np.pad(self._distances(found.similarities), missing, constant_values=np.inf)
        return SearchResult(self._keys.at(rows), distances)

    def match(self, queries: ArrayLike, threshold: float | Calibration) -> SearchResult:
        """The nearest item of each query, or none if it is farther than the threshold.

        Args:
            queries: float array or tensor `(queries, dim)`.
            threshold: the largest distance that is a match, or the `Calibration` that tells it.

        Returns:
            Keys and distances `(queries,)`. Without a match the key is -1 (`None` if keys are strings); the
            distance is that of the nearest item all the same.

        Raises:
            ValueError: as `search`.
        """
        found = self.search(queries, 1)
        keys, distances = found.keys[:, 0].copy(), found.distances[:, 0]
        largest = threshold.threshold if isinstance(threshold, Calibration) else threshold
        near = distances <= float(largest)
        keys[~near] = NO_TEXT if self._keys.are_texts else NO_NUMBER
        return SearchResult(keys, distances)

    def save(self, path: str | os.PathLike) -> None:
        """Writes items and the graph, if it is built, to one file, whole or not at all.

        The file holds plain arrays and JSON, with checksums; nothing in it is ever executed.
        """
        self._settle()
        graph = None if self._neighbors is None else self._neighbors.graph
        with array_file(path) as writer:
            writer.append("embeddings", self.embeddings)
            finish_index(writer, self.distance, self.exact, self._keys, self._metadata, graph)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        memory_map: bool = True,
        *,
        dim: int | None = None,
        verify: bool = True,
    ) -> "EmbeddingIndex":
        """Reads what `save` wrote.

        Load files with a graph only from where you trust: the graph is in usearch's own format.

        Args:
            path: the file.
            memory_map: whether embeddings, string keys and metadata stay in the file and are read when they
                are asked for. A later `add` or `remove` copies them into memory.
            dim: the width that the embeddings must have, such as that of the encoder.
            verify: whether the whole file is read once and compared with its checksums. Length and table of
                contents are always checked.

        Raises:
            ValueError: if the file is something else, truncated, damaged or of a later version, or its
                embeddings have another width than `dim`.
            FileNotFoundError: if there is no such file.
            ModuleNotFoundError: if the index was made with `exact=False` and usearch is missing.
        """
        try:
            stored = read_index(path, memory_map, verify)
            index = cls(stored.distance, stored.dim, stored.exact)
            index._keys, index._metadata = stored.keys, stored.metadata
            bank, graph = stored.embeddings, stored.graph
            if len(bank):
                index._neighbors = NearestNeighbors.over(bank, index._metric, index.exact, graph)
                index.memory_mapped = memory_map
        except (FileNotFoundError, ModuleNotFoundError):
            raise
        except Exception as error:
            raise ValueError(f"{path} cannot be read as an EmbeddingIndex: {error}.") from error
        if dim is not None and index.dim not in (None, dim):
            raise ValueError(f"The embeddings in {path} have {index.dim} entries, wanted are {dim}.")
        return index

    def _prepared(self, embeddings):
        embeddings = as_array(embeddings)
        if embeddings.ndim != 2 or not embeddings.shape[1] or self.dim not in (None, embeddings.shape[1]):
            raise ValueError(f"embeddings must be (rows, {self.dim or 'dim'}), got shape {embeddings.shape}.")
        rows = finite_matrix("embeddings", embeddings)
        return unit(rows) if self.distance == "cosine" else np.array(rows)

    def _settle(self):
        """What was added joins the rows that are searched."""
        if not self._pending:
            return
        rows = np.concatenate(self._pending)
        if self._neighbors is None:
            self._neighbors = NearestNeighbors.over(rows, self._metric, self.exact)
        else:
            self._neighbors.append(rows)
        self._pending = []
