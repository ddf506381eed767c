"""What an encoder reads, one batch after the other, from arrays, files or a source of batches."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from contrast.features.digests import add_array, add_file, new_digest


def source(data: Any, batch_size: int) -> "Arrays | Files | Batches":
    """The source for data of any kind that `contrast.features.cached_features` takes."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if isinstance(data, str | os.PathLike):
        raise TypeError(f"data must be a list of paths, got a single one: write [{str(data)!r}].")
    if isinstance(data, np.ndarray | dict) or keras.ops.is_tensor(data):
        return Arrays(data, batch_size)
    if isinstance(data, list | tuple) and data and isinstance(data[0], str | os.PathLike):
        return Files([Path(path) for path in data], batch_size)
    return Batches(data)


class Arrays:
    """Rows of one array, or of several in a dict; memory maps stay on disk."""

    def __init__(self, data: Any, batch_size: int) -> None:
        self.data, self.batch_size = _to_numpy(data), batch_size
        self.rows = _checked_rows(row_count(self.data))

    def batches(self) -> int:
        """How many batches there are."""
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self.rows, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield keras.tree.map_structure(lambda array, part=part: np.asarray(array[part]), self.data)

    def digest(self, progress: Callable) -> str:
        """The digest of all arrays as a whole: the batch size does not count."""
        return _add_tree(new_digest(), self.data).hexdigest()


class Files:
    """Lists of paths, which the preprocessing reads."""

    def __init__(self, paths: Sequence[Path], batch_size: int) -> None:
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise FileNotFoundError(
                f"data names {len(missing)} files that do not exist, such as {missing[0]}."
            )
        self.paths, self.batch_size, self.rows = paths, batch_size, len(paths)

    def batches(self) -> int:
        """How many batches there are."""
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[Sequence[Path]]:
        for start in range(0, self.rows, self.batch_size):
            yield self.paths[start : start + self.batch_size]

    def digest(self, progress: Callable) -> str:
        """The digest of names and contents: folders and times do not count."""
        digest = new_digest()
        for path in progress(self.paths, len(self.paths)):
            add_file(digest, path)
        return digest.hexdigest()


class Batches:
    """Batches of a `keras.utils.PyDataset` or of anything that can be iterated over twice."""

    def __init__(self, data: Any) -> None:
        if not isinstance(data, keras.utils.PyDataset | Iterable):
            raise TypeError(
                "data must be an array, a dict of arrays, a list of paths, or batches to iterate over, got "
                f"{type(data).__name__}."
            )
        if isinstance(data, Iterator):
            raise TypeError(
                "data must give its batches twice, once for the digest and once for the encoder, got an "
                "iterator; pass a list, a PyDataset, or an object whose __iter__ starts anew."
            )
        if getattr(data, "shuffle", False) is True:
            raise ValueError("data must not be shuffled: features come in the order of its batches.")
        self.data: Any = data
        self.rows: int | None = None
        self.first_digest: str | None = None

    def batches(self) -> int | None:
        """How many batches there are, if that is known."""
        try:
            return len(self.data)
        except TypeError:
            return None

    def _read(self):
        indexed = isinstance(self.data, keras.utils.PyDataset)
        for batch in map(self.data.__getitem__, range(len(self.data))) if indexed else self.data:
            yield _to_numpy(batch[0] if isinstance(batch, tuple) else batch)

    def _digested(self, batches, digest):
        self.rows = 0
        for batch in batches:
            _add_tree(digest, batch)
            self.rows += row_count(batch)
            yield batch

    def __iter__(self) -> Iterator[Any]:
        digest = new_digest()
        yield from self._digested(self._read(), digest)
        if self.first_digest not in (None, digest.hexdigest()):
            raise ValueError(
                "data gave other batches the second time; features can be cached only of data that is always "
                "the same: turn off shuffling and augmentation."
            )

    def digest(self, progress: Callable) -> str:
        """The digest of all batches, in their order."""
        digest = new_digest()
        for _ in self._digested(progress(self._read(), self.batches()), digest):
            continue
        _checked_rows(self.rows)
        self.first_digest = digest.hexdigest()
        return self.first_digest


def row_count(tree: Any) -> int:
    """The number of rows that all arrays of a tree have.

    Raises:
        ValueError: if they differ, or one has no rows at all.
    """
    arrays = keras.tree.flatten(tree)
    lengths: set[Any] = {len(array) if array.ndim else "a single number" for array in arrays}
    if len(lengths) != 1 or "a single number" in lengths:
        raise ValueError(f"Arrays must have the same number of rows, got {sorted(map(str, lengths))}.")
    return lengths.pop()


def _checked_rows(rows):
    if not rows:
        raise ValueError("data must hold at least one row, got none.")
    return rows


def _to_numpy(tree):
    def array(value):
        return keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else np.asanyarray(value)

    return keras.tree.map_structure(array, tree)


def _add_tree(digest, tree):
    for path, array in keras.tree.flatten_with_path(tree):
        digest.update(repr(path).encode())
        add_array(digest, array)
    return digest
