import logging
import os
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from contrast.data.files import whole_file

logger = logging.getLogger("contrast")

# The matrix of similarities is visited in tiles of this many queries and rows of the bank: 8 MB.
QUERIES, ROWS = 256, 8192
# Below this many rows looking at all of them is about as fast as an index, which takes minutes to build
# (benchmarks/nearest_neighbors.py).
EXACT_UP_TO = 1_000_000
METRICS = ("cosine", "dot")


class Neighbors(NamedTuple):
    """What `NearestNeighbors.search` returns, the most similar first.

    Attributes:
        similarities: float32 `(queries, k)`.
        ids: int64 `(queries, k)`: whose similarities these are.
    """

    similarities: np.ndarray
    ids: np.ndarray


class NearestNeighbors:
    """The most similar embeddings of a bank, by cosine or dot product.

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
        metric: `"cosine"` or `"dot"`.
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

    def __init__(self, bank, ids=None, metric: str = "cosine", exact: bool | None = None):
        if metric not in METRICS:
            raise ValueError(f"metric must be 'cosine' or 'dot', got {metric!r}.")
        bank = finite_matrix("bank", bank)
        if not bank.size:
            raise ValueError(
                f"bank must hold at least one row of at least one entry, got shape {bank.shape}."
            )
        self.metric, self.exact = metric, exact
        self._bank = unit(bank) if metric == "cosine" else bank.copy()
        self._ids = np.arange(len(bank)) if ids is None else _checked_ids(ids, len(bank))
        self._index = None
        if exact is False:
            _usearch()

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

    def search(self, queries, k: int = 1) -> Neighbors:
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

    def delete(self, ids) -> None:
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
        self._bank, self._ids, self._index = self._bank[kept], self._ids[kept], None

    def save(self, path: str | os.PathLike) -> None:
        """Writes bank, ids and the index, if it is built, to an `.npz` file, whole or not at all."""
        arrays = {"bank": self._bank, "ids": self._ids, "metric": self.metric}
        if self.exact is not None:
            arrays["exact"] = self.exact
        if self._index is not None:
            arrays["index"] = np.frombuffer(self._index.save(), "uint8")
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
                neighbors.metric = METRICS[METRICS.index(str(arrays["metric"]))]
                index = arrays["index"].tobytes() if "index" in arrays else None
            if index is not None and not neighbors._is_exact():
                neighbors._index = _usearch().Index.restore(index)
                if (len(neighbors._index), neighbors._index.ndim) != neighbors._bank.shape:
                    raise ValueError("the index does not belong to the bank")
        except (FileNotFoundError, ModuleNotFoundError):
            raise
        except Exception as error:
            raise ValueError(f"{path} is not a bank of NearestNeighbors: {error}") from error
        return neighbors

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
            tile = queries @ self._bank[start : start + ROWS].T
            columns = _largest(tile, min(k, tile.shape[1]))
            best = np.concatenate([best, np.take_along_axis(tile, columns, axis=1)], axis=1)
            rows = np.concatenate([rows, columns + start], axis=1)
            best, rows = _most_similar_first(best, rows, k)
        return best, rows

    def _search_index(self, queries, k):
        if self._index is None:
            self._index = _usearch().Index(ndim=self.dim, metric="ip", dtype="f32")
            self._index.add(np.arange(len(self)), self._bank, threads=1)
        found = self._index.search(queries, k)
        # A graph may reach fewer rows than there are.
        if np.min(getattr(found, "counts", len(found))) < k:
            return self._search_exactly(queries, k)
        rows = np.sort(np.asarray(found.keys, "int64").reshape(len(queries), k), axis=1)
        similarities = np.einsum("qd,qkd->qk", queries, self._bank[rows])
        return _most_similar_first(similarities, rows, k)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(..., dim)` scaled to unit length in float32; a zero vector stays zero."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    # Tiny and huge entries must not leave the range of float32 when they are squared.
    vectors = vectors / np.where(largest == 0, 1, largest)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)


def _largest(tile, k):
    """Columns of the k largest entries of each row, in ascending order; of equal entries the first ones."""
    if k == 1:
        return tile.argmax(axis=1)[:, None]
    columns = np.argpartition(tile, -k, axis=1)[:, -k:]
    smallest = np.take_along_axis(tile, columns, axis=1).min(axis=1, keepdims=True)
    tied = (tile >= smallest).sum(axis=1) > k
    if tied.any():
        columns[tied] = np.argsort(-tile[tied], axis=1, kind="stable")[:, :k]
    return np.sort(columns, axis=1)


def _most_similar_first(similarities, rows, k):
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, order, axis=1), np.take_along_axis(rows, order, axis=1)


def as_array(values):
    return keras.ops.convert_to_numpy(values) if keras.ops.is_tensor(values) else np.asanyarray(values)


def finite_matrix(name, values, first=0):
    """`values` as float32 `(rows, dim)`; `first` is the number of the first row, for the message."""
    values = np.asarray(as_array(values), "float32")
    if values.ndim != 2:
        raise ValueError(f"{name} must be (rows, dim), got shape {values.shape}.")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise ValueError(f"{name} must be finite, got NaN or infinity in row {first + bad[0]}.")
    return values


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
