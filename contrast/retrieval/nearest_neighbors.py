import logging
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from contrast.data.files import whole_file
from contrast.retrieval.matrices import as_array, finite_matrix, largest, most_similar_first, unit

logger = logging.getLogger("contrast")

# The matrix of similarities is visited in tiles of this many queries and rows of the bank: 8 MB.
QUERIES, ROWS = 256, 8192
TILE = QUERIES * ROWS
# Below this many rows looking at all of them is about as fast as an index, which takes minutes to build
# (benchmarks/nearest_neighbors.py).
EXACT_UP_TO = 1_000_000
# What usearch calls them; unit vectors are compared by their inner product.
METRICS = {"cosine": "ip", "dot": "ip", "euclidean": "l2sq"}


class Neighbors(NamedTuple):
    """What `NearestNeighbors.search` returns, the most similar first.

    Attributes:
        similarities: float32 `(queries, k)`; with `metric="euclidean"` minus the distances.
        ids: int64 `(queries, k)`: whose similarities these are.
    """

    similarities: np.ndarray
    ids: np.ndarray


class NearestNeighbors:
    """The most similar embeddings of a bank, by cosine, dot product or Euclidean distance.

    Computed in NumPy on the host, in float32, so that every backend finds the same; the bank is copied into
    memory. The exact search visits the matrix of similarities in tiles, never as a whole. Of equal
    similarities the lower row of the bank comes first. A zero vector has cosine 0 with everything.

    With the extra `retrieval` an index of `usearch` (a navigable graph) finds most of the neighbours of a
    query without looking at the whole bank, and may miss some. It is built at the first search, on one core
    and hence the same each time, which takes minutes for 100,000 rows and more, and it is saved with the
    bank: it pays for banks that are asked very often. The similarities that it returns are computed exactly.

    Args:
        bank: float array or tensor `(rows, dim)`, at least one row.
        ids: int array `(rows,)`, unique: what the rows are called; `None`: their numbers.
        metric: `"cosine"`, `"dot"` or `"euclidean"`.
        exact: `True` or `False` (the index); `None`: exact up to 1,000,000 rows, or if usearch is missing.

    Raises:
        ValueError: if the bank is empty, not finite or no matrix, or ids are not unique or another number.
        ModuleNotFoundError: with `exact=False`, if usearch is missing.

    Example:

    >>> neighbors = contrast.retrieval.NearestNeighbors([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> found = neighbors.search([[0.0, 3.0]], k=2)
    >>> found.ids.tolist()
    [[1, 2]]
    >>> print(found.similarities.round(3))
    [[1.    0.707]]

    Reference of the index: [Malkov and Yashunin, 2016](https://arxiv.org/abs/1603.09320)
    """

    def __init__(
        self, bank: ArrayLike, ids: ArrayLike | None = None, metric: str = "cosine", exact: bool | None = None
    ) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}.")
        bank = finite_matrix("bank", bank)
        if not bank.size:
            raise ValueError(
                f"bank must hold at least one row of at least one entry, got shape {bank.shape}."
            )
        self._hold(unit(bank) if metric == "cosine" else bank.copy(), ids, metric, exact)
        if exact is False:
            _usearch()

    @classmethod
    def over(
        cls, bank: np.ndarray, metric: str, exact: bool | None, graph: np.ndarray | None = None
    ) -> "NearestNeighbors":
        """Neighbours in a bank that is used as it is, such as a memory map; its ids are the row numbers.

        Args:
            bank: finite float32 array `(rows, dim)`, at least one row; of unit length for `"cosine"`.
            metric, exact: as above.
            graph: what the property `graph` gave for this bank.

        Raises:
            ValueError: if the graph is not one of this bank.
            ModuleNotFoundError: with `exact=False`, if usearch is missing.
        """
        neighbors = cls.__new__(cls)
        neighbors._hold(bank, None, metric, exact)
        if exact is False:
            _usearch()
        if graph is not None and not neighbors._is_exact():
            neighbors._restore(graph)
        return neighbors

    def _hold(self, bank, ids, metric, exact):
        self.metric, self.exact, self._index = metric, exact, None
        self._bank = bank
        self._ids = np.arange(len(bank)) if ids is None else _checked_ids(ids, len(bank))
        self._middle = None

    def __len__(self) -> int:
        """The number of rows in the bank."""
        return len(self._bank)

    @property
    def dim(self) -> int:
        """The width of the embeddings."""
        return self._bank.shape[1]

    @property
    def ids(self) -> np.ndarray:
        """A copy of the ids of the rows, int64 `(rows,)`."""
        return self._ids.copy()

    @property
    def bank(self) -> np.ndarray:
        """The rows as they are compared, which for `"cosine"` is at unit length; not to be written to."""
        return self._bank

    @property
    def graph(self) -> np.ndarray | None:
        """The index of usearch as bytes, uint8; `None` if it has not been built."""
        return None if self._index is None else np.frombuffer(self._index.save(), "uint8")

    def search(self, queries: ArrayLike, k: int = 1) -> Neighbors:
        """The k most similar rows of the bank for each query.

        Args:
            queries: float array or tensor `(queries, dim)`; may be a memory map, and may be empty.
            k: from 1 to the number of rows.

        Raises:
            ValueError: if k is outside its range, or queries have another width or are not finite.
        """
        if not 1 <= k <= len(self):
            raise ValueError(f"k must be from 1 to the {len(self)} rows of the bank, got {k}.")
        queries = as_array(queries)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise ValueError(f"queries must be (queries, {self.dim}), got shape {queries.shape}.")
        similarities = np.empty((len(queries), k), "float32")
        rows = np.empty((len(queries), k), "int64")
        find = self._search_exactly if self._is_exact() else self._search_index
        for start in range(0, len(queries), QUERIES):
            part = slice(start, start + QUERIES)
            chunk = finite_matrix("queries", queries[part], start)
            similarities[part], rows[part] = find(unit(chunk) if self.metric == "cosine" else chunk, k)
        return Neighbors(similarities, self._ids[rows])

    def append(self, rows: np.ndarray) -> None:
        """Adds rows that are as those of the bank of `over`; their ids go on after the largest one.

        An index that is built takes them in, which is much faster than to build it anew.
        """
        if self._index is not None:
            self._index.add(np.arange(len(self), len(self) + len(rows)), rows, threads=1)
        first = self._ids.max() + 1
        self._ids = np.concatenate([self._ids, np.arange(first, first + len(rows))])
        self._bank, self._middle = np.concatenate([self._bank, rows]), None

    def delete(self, ids: ArrayLike) -> None:
        """Forgets rows. The others keep their ids; an index is built anew at the next search.

        Args:
            ids: an int, or several.

        Raises:
            KeyError: if the bank does not hold one of them.
            ValueError: if nothing would be left.
        """
        ids = np.atleast_1d(np.asarray(ids))
        unknown = ids[~np.isin(ids, self._ids)]
        if unknown.size:
            raise KeyError(f"The bank has no row with id {unknown[0]}.")
        kept = ~np.isin(self._ids, ids)
        if not kept.any():
            raise ValueError("delete must leave at least one row in the bank.")
        self._bank, self._ids, self._index, self._middle = self._bank[kept], self._ids[kept], None, None

    def save(self, path: str | os.PathLike) -> None:
        """Writes bank, ids and the index, if it is built, to an `.npz` file, whole or not at all."""
        arrays = {"bank": self._bank, "ids": self._ids, "metric": self.metric}
        if self.exact is not None:
            arrays["exact"] = self.exact
        if self._index is not None:
            arrays["index"] = self.graph
        with whole_file(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "NearestNeighbors":
        """Reads what `save` wrote. Load only files whose origin you trust: the index is usearch's own format.

        Raises:
            ValueError: if the file is not such a bank.
            ModuleNotFoundError: if the bank was made with `exact=False` and usearch is missing.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                exact = bool(arrays["exact"]) if "exact" in arrays else None
                neighbors = cls(arrays["bank"], arrays["ids"], "dot", exact)
                neighbors.metric = str(arrays["metric"])
                if neighbors.metric not in METRICS:
                    raise ValueError(f"unknown metric {neighbors.metric!r}")
                graph = arrays.get("index")
            if graph is not None and not neighbors._is_exact():
                neighbors._restore(graph)
        except (FileNotFoundError, ModuleNotFoundError):
            raise
        except Exception as error:
            raise ValueError(f"{path} is not a bank of NearestNeighbors: {error}") from error
        return neighbors

    def _restore(self, graph):
        self._index = _usearch().Index.restore(graph.tobytes())
        if self._index is None or (len(self._index), self._index.ndim) != self._bank.shape:
            raise ValueError("the index does not belong to the bank")

    def _is_exact(self):
        if self.exact is not None or len(self) <= EXACT_UP_TO:
            return self.exact is not False
        try:
            _usearch()
        except ModuleNotFoundError as error:
            logger.warning("Searching %d rows one by one: %s", len(self), error)
            self.exact = True
        return self.exact is True

    def _search_exactly(self, queries, k):
        best, rows = np.empty((len(queries), 0), "float32"), np.empty((len(queries), 0), "int64")
        for start in range(0, len(self), ROWS):
            tile = self._compare(queries, self._bank[start : start + ROWS])
            columns = largest(tile, min(k, tile.shape[1]))
            best = np.concatenate([best, np.take_along_axis(tile, columns, axis=1)], axis=1)
            rows = np.concatenate([rows, columns + start], axis=1)
            best, rows = most_similar_first(best, rows, k)
        return self._measured(queries, np.sort(rows, axis=1)) if self.metric == "euclidean" else (best, rows)

    def _compare(self, queries, rows):
        """Similarities `(queries, rows)`; for distances, what is largest where they are smallest."""
        if self.metric != "euclidean":
            return queries @ rows.T
        # |q - x|² = |q|² - 2 (q x - |x|² / 2), around a point amid the bank: far from zero all digits of
        # float32 would be lost to the common part.
        if self._middle is None:
            self._middle = self._bank[:ROWS].mean(axis=0, dtype="float64").astype("float32")
        rows = rows - self._middle
        return (queries - self._middle) @ rows.T - 0.5 * np.einsum("rd,rd->r", rows, rows)

    def _search_index(self, queries, k):
        if self._index is None:
            self._index = _usearch().Index(ndim=self.dim, metric=METRICS[self.metric], dtype="f32")
            self._index.add(np.arange(len(self)), np.asarray(self._bank), threads=1)
        found = self._index.search(queries, k)
        # A graph may reach fewer rows than there are.
        if np.min(getattr(found, "counts", len(found))) < k:
            return self._search_exactly(queries, k)
        rows = np.sort(np.asarray(found.keys, "int64").reshape(len(queries), k), axis=1)
        return self._measured(queries, rows)

    def _measured(self, queries, rows):
        """Rows `(queries, k)`, given in ascending order, by similarities that are computed anew."""
        similarities = np.empty(rows.shape, "float32")
        for start in range(0, len(queries), step := max(1, TILE // max(1, rows.shape[1] * self.dim))):
            part = slice(start, start + step)
            found = self._bank[rows[part]]
            if self.metric == "euclidean":
                similarities[part] = -np.linalg.norm(queries[part, None] - found, axis=2)
            else:
                similarities[part] = np.einsum("qd,qkd->qk", queries[part], found)
        return most_similar_first(similarities, rows, rows.shape[1])


def _checked_ids(ids, rows):
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu" or ids.shape != (rows,) or len(np.unique(ids)) != rows:
        raise ValueError(
            f"ids must be {rows} different ints, one for each row of the bank, got {ids.dtype} of shape "
            f"{ids.shape}."
        )
    return ids.astype("int64")


def _usearch():
    try:
        from usearch import index
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "The index needs usearch: pip install 'keras-contrast[retrieval]', or set exact=True."
        ) from error
    return index
