"""The keys of an index: whole numbers or strings, each once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from contrast.retrieval.matrices import as_array
from contrast.retrieval.texts import Texts

# What stands for "no item"; keys themselves are never negative, and never None.
NO_NUMBER, NO_TEXT = -1, None


class ItemKeys:
    """Keys in the order of the rows, and the row of each.

    Args:
        values: an int64 array, or a sequence of strings. While there are none, the first that are added say
            of which kind all are.
    """

    def __init__(self, values: np.ndarray | Sequence[str] = ()) -> None:
        self._hold(values)

    def _hold(self, values: np.ndarray | Sequence[str]) -> None:
        self.values: Any = values if len(values) else np.empty(0, "int64")
        self._rows: dict | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def are_texts(self) -> bool:
        return not isinstance(self.values, np.ndarray)

    @property
    def rows(self) -> dict:
        """The row of each key, made when it is first asked for."""
        if self._rows is None:
            values = self.values if self.are_texts else self.values.tolist()
            self._rows = {key: row for row, key in enumerate(values)}
        return self._rows

    def array(self) -> np.ndarray:
        """All keys, int64 or, for strings, object."""
        return np.array(list(self.values), object) if self.are_texts else np.array(self.values)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Keys of rows of any shape; row -1 has the key that stands for no item."""
        if not self.are_texts:
            keys = np.full(rows.shape, NO_NUMBER, "int64")
            keys[rows >= 0] = self.values[rows[rows >= 0]]
            return keys
        keys = np.full(rows.shape, NO_TEXT, object)
        for position in zip(*np.nonzero(rows >= 0), strict=True):
            keys[position] = self.values[int(rows[position])]
        return keys

    def checked(self, keys: Any, count: int) -> np.ndarray | list[str]:
        """New keys for `count` rows, as `add` takes them.

        Raises:
            TypeError: if they are neither whole numbers nor strings, or of another kind than those before.
            ValueError: if their number is another, one is negative, stands twice or is held already.
        """
        if keys is None:
            if self.are_texts:
                raise TypeError("keys must be given, since the index has strings as keys.")
            first = int(self.values.max(initial=-1)) + 1
            return np.arange(first, first + count)
        keys = keys_as_given(keys)
        if len(keys) != count:
            raise ValueError(f"keys must be one for each of the {count} embeddings, got {len(keys)}.")
        if len(self) and isinstance(keys, list) != self.are_texts:
            kinds = ("whole numbers", "strings")
            raise TypeError(
                f"keys must be {kinds[self.are_texts]} like those in the index, got "
                f"{kinds[not self.are_texts]}."
            )
        if not isinstance(keys, list) and count and keys.min() < 0:
            raise ValueError(f"keys must not be negative, got {keys.min()}.")
        self._check_new(keys if isinstance(keys, list) else keys.tolist())
        return keys

    def append(self, keys: np.ndarray | list[str]) -> None:
        """Adds what `checked` returned."""
        if self._rows is not None:
            added = keys if isinstance(keys, list) else keys.tolist()
            self._rows.update((key, row) for row, key in enumerate(added, start=len(self)))
        if not isinstance(keys, list):
            self.values = np.concatenate([self.values, keys])
        elif isinstance(self.values, list):
            self.values.extend(keys)
        else:  # none yet, or texts that stay in a file
            self.values = [*self.values, *keys]

    def keep(self, rows: np.ndarray) -> None:
        """Forgets all but these rows."""
        self._hold([self.values[row] for row in rows] if self.are_texts else self.values[rows])

    def rows_of(self, keys: Any) -> np.ndarray:
        """The rows of keys.

        Raises:
            KeyError: if one is not held; it says how many are not.
        """
        if isinstance(keys, str) or np.ndim(keys) == 0:
            keys = [keys]
        keys = keys_as_given(keys)
        keys = keys if isinstance(keys, list) else keys.tolist()
        unknown = [key for key in keys if key not in self.rows]
        if unknown:
            more = f" and {len(unknown) - 1} others" if len(unknown) > 1 else ""
            raise KeyError(f"The index has no item with key {unknown[0]!r}{more}.")
        return np.array([self.rows[key] for key in keys], "int64")

    def _check_new(self, keys):
        seen = set()
        for key in keys:
            if key in seen:
                raise ValueError(f"keys must be different, got {key!r} twice.")
            seen.add(key)
        held = next((key for key in keys if key in self.rows), None) if len(self) else None
        if held is not None:
            raise ValueError(
                f"keys must be new, got {held!r}, which is in the index; to replace an item remove it first."
            )


def keys_as_given(keys: Any) -> np.ndarray | list[str]:
    """Keys as an int64 array or a list of strings.

    Raises:
        TypeError: if they are anything else.
    """
    if isinstance(keys, Texts):
        return list(keys)
    if not isinstance(keys, list | tuple):
        keys = as_array(keys)
    if len(keys) and all(isinstance(key, str) for key in keys):
        return [str(key) for key in keys]
    array = np.asarray(keys)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise TypeError(
            "keys must be whole numbers or strings, one for each embedding, got "
            f"{array.dtype} of shape {array.shape}."
        )
    return array.astype("int64")
