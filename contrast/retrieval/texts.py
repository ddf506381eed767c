"""Many strings as two arrays, so that they can stay in a file."""

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np


class Texts(Sequence):
    """A sequence of strings below two arrays: all their bytes in UTF-8, and where each one ends.

    Args:
        data: uint8 array.
        ends: int64 array, ascending.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        if np.any(np.diff(ends, prepend=0) < 0) or (ends[-1] if len(ends) else 0) != len(data):
            raise ValueError("it is damaged: its texts do not end where they should")
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Texts from strings."""
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype="int64")
        return cls(np.frombuffer(b"".join(encoded), "uint8"), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, position: int) -> str:
        position = range(len(self))[position]
        start = self.ends[position - 1] if position else 0
        return self.data[start : self.ends[position]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        return (self[position] for position in range(len(self)))


def json_texts(metadata: Iterable | None, count: int) -> list[str] | None:
    """Metadata of `count` items, each as JSON.

    Raises:
        ValueError: if there is not one for each item.
        TypeError: if one cannot be written as JSON.
    """
    if metadata is None:
        return None
    metadata = list(metadata)
    if len(metadata) != count:
        raise ValueError(f"metadata must be one for each of the {count} embeddings, got {len(metadata)}.")
    try:
        return [json.dumps(item) for item in metadata]
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must be what JSON can write: {error}.") from error
