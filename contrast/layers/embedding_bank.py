import difflib
import json
import os
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from contrast.data.files import whole_file


class Nearest(NamedTuple):
    """What `EmbeddingBank.nearest` returns, one entry for each query.

    Attributes:
        keys: tuple of the keys that the nearest stored embeddings belong to.
        embeddings: float32 `(queries, dim)`: those embeddings as they are stored.
        similarities: float32 `(queries,)`: their cosines with the queries.
    """

    keys: tuple[str | int, ...]
    embeddings: np.ndarray
    similarities: np.ndarray


class EmbeddingBank:
    """Embeddings kept by key, in NumPy on the host: what is known about each person, class or product.

    A key is a string or an int and holds any number of embeddings. All of them can be deleted by key. Nothing
    here is differentiable or part of a compiled step.

    Args:
        dim: width of the embeddings.

    Raises:
        ValueError: if dim is below 1. The methods raise a `KeyError` for keys that the bank does not hold,
            and a `ValueError` for embeddings of another width or with entries that are not finite.
        TypeError: from the methods that take several keys, if a single one is given.

    Example:

    >>> bank = contrast.layers.EmbeddingBank(dim=2)
    >>> bank.add("Ann", [[1.0, 0.0], [0.8, 0.2]])
    >>> bank.add("Bob", [0.0, 1.0])
    >>> bank.nearest([[0.1, 0.9]]).keys
    ('Bob',)
    >>> bank.delete("Ann")
    >>> bank.keys()
    ('Bob',)
    """

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}.")
        self.dim = dim
        self._stored: dict[str | int, np.ndarray] = {}

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._stored)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._stored

    def __getitem__(self, key: str | int) -> np.ndarray:
        """A copy of the key's embeddings, `(stored, dim)`, in the order in which they were added."""
        return self._of(key).copy()

    def keys(self) -> tuple[str | int, ...]:
        """All keys, in the order in which they were first added."""
        return tuple(self._stored)

    def add(self, key: str | int, embeddings: ArrayLike) -> None:
        """Adds one embedding `(dim,)` or several `(n, dim)` to those of a key.

        Raises:
            TypeError: if the key is neither a string nor an int.
        """
        if isinstance(key, np.integer | np.str_):
            key = key.item()
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise TypeError(f"key must be a string or an int, got {key!r}.")
        embeddings = self._checked("embeddings", embeddings)
        if len(embeddings):
            kept = self._stored.get(key, np.zeros((0, self.dim), "float32"))
            self._stored[key] = np.concatenate([kept, embeddings])

    def delete(self, key: str | int) -> None:
        """Forgets a key and all of its embeddings."""
        self._of(key)
        del self._stored[key]

    def random(self, keys: Sequence[str | int], seed: int) -> np.ndarray:
        """One stored embedding of each key, drawn as a function of the seed, `(keys, dim)`."""
        generator = np.random.default_rng(seed)
        return self._each(keys, lambda stored: stored[generator.integers(len(stored))])

    def mean(self, keys: Sequence[str | int]) -> np.ndarray:
        """The mean of each key's embeddings, not scaled to unit length, `(keys, dim)`."""
        return self._each(keys, lambda stored: stored.mean(axis=0))

    def medoid(self, keys: Sequence[str | int]) -> np.ndarray:
        """The stored embedding of each key that is most similar to all of the key's, `(keys, dim)`.

        Similar means the sum of the cosines; of equal ones the first is taken.
        """

        def most_central(stored):
            units = _unit(stored)
            return stored[np.argmax(units @ units.sum(axis=0))]

        return self._each(keys, most_central)

    def nearest(self, queries: ArrayLike, keys: Sequence[str | int] | None = None) -> Nearest:
        """The stored embedding with the largest cosine to each query.

        Args:
            queries: one query `(dim,)` or several `(queries, dim)`.
            keys: where to search; `None`: everywhere.

        Raises:
            ValueError: if there is nothing to search in.
        """
        queries = self._checked("queries", queries)
        keys = self.keys() if keys is None else self._sequence(keys)
        if not keys:
            raise ValueError("nearest needs at least one key to search in, got none.")
        stored = np.concatenate([self._of(key) for key in keys])
        owners = [key for key in keys for _ in self._of(key)]
        similarities = _unit(queries) @ _unit(stored).T
        best = similarities.argmax(axis=1)
        return Nearest(
            tuple(owners[index] for index in best), stored[best], similarities[np.arange(len(best)), best]
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the bank to an `.npz` file, without pickle; a file of that name is replaced as a whole."""
        keys = np.frombuffer(json.dumps(self.keys()).encode(), "uint8")
        counts = np.array([len(stored) for stored in self._stored.values()], "int64")
        stored = [np.zeros((0, self.dim), "float32"), *self._stored.values()]
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, keys=keys, counts=counts, embeddings=np.concatenate(stored))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "EmbeddingBank":
        """Reads a bank that `save` wrote.

        Raises:
            ValueError: if the file is not such a bank.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                keys = json.loads(arrays["keys"].tobytes())
                counts, embeddings = arrays["counts"], arrays["embeddings"]
            if len(counts) != len(keys) or counts.sum() != len(embeddings):
                raise ValueError("the numbers of keys and embeddings do not agree")
            bank = cls(embeddings.shape[1])
            parts = np.split(embeddings, np.cumsum(counts)[:-1]) if keys else []
            for key, part in zip(keys, parts, strict=True):
                bank.add(key, part)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(f"{path} is not an embedding bank: {error}") from error
        return bank

    def _of(self, key):
        if not isinstance(key, Hashable) or key not in self._stored:
            close = difflib.get_close_matches(str(key), map(str, self._stored), n=3)
            hint = f"; similar: {', '.join(close)}" if close else ""
            raise KeyError(f"The bank holds no embeddings of {key!r}{hint}. It has {len(self)} keys.")
        return self._stored[key]

    def _sequence(self, keys):
        if isinstance(keys, str | int):
            raise TypeError(f"keys must be a sequence of keys, got a single one: write [{keys!r}].")
        return tuple(keys)

    def _each(self, keys, choose):
        rows = [choose(self._of(key)) for key in self._sequence(keys)]
        return np.array(rows, "float32").reshape(len(rows), self.dim)

    def _checked(self, name, embeddings):
        embeddings = np.atleast_2d(np.asarray(embeddings, "float32"))
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim:
            raise ValueError(
                f"{name} must be ({self.dim},) or (n, {self.dim}), got shape {embeddings.shape}."
            )
        if not np.isfinite(embeddings).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity.")
        return embeddings


def _unit(vectors):
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)
