"""One file of named arrays that is written row by row, checked as a whole, and read as memory maps."""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from contrast.data.files import whole_file

BEGIN, END = b"contrast arrays\n", b"\nend of arrays\n"
VERSION = 1
ALIGNMENT = 64
DTYPES = ("<f4", "<i8", "|u1")
BLOCK = 1 << 22  # bytes that are checked at once
# What stands at the very end: the length and checksum of the table of contents, in digits.
TAIL = 32


class ArrayWriter:
    """Writes arrays one after the other; see `array_file`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._contents: dict[str, Any] = {}
        file.write(BEGIN)

    def append(self, name: str, rows: np.ndarray) -> None:
        """Adds rows to the array `name`, the one that is being written or a new one."""
        rows = np.ascontiguousarray(rows)
        entry: dict[str, Any] | None = self._contents.get(name)
        if entry is None:
            self._file.write(bytes(-self._file.tell() % ALIGNMENT))
            entry = {
                "dtype": rows.dtype.str,
                "shape": [0, *rows.shape[1:]],
                "offset": self._file.tell(),
                "checksum": 0,
            }
            self._contents[name] = entry
        written = rows.reshape(-1).view("uint8").data
        entry["checksum"] = zlib.crc32(written, entry["checksum"])
        entry["shape"][0] += len(rows)
        self._file.write(written)

    def finish(self, description: dict) -> None:
        """Writes the table of contents, which makes the file complete."""
        contents = json.dumps({"version": VERSION, "arrays": self._contents, **description}).encode()
        self._file.write(contents)
        self._file.write(f"{len(contents):20d} {zlib.crc32(contents):10d} ".encode() + END)


@contextlib.contextmanager
def array_file(path: str | os.PathLike) -> Iterator[ArrayWriter]:
    """Yields an `ArrayWriter`, whose file takes the name `path` at the end of the block, or never."""
    with whole_file(Path(path)) as temporary, temporary.open("wb") as file:
        yield ArrayWriter(file)


def read_arrays(
    path: str | os.PathLike, memory_map: bool, verify: bool
) -> tuple[dict, dict[str, np.ndarray]]:
    """The description and the arrays of a file.

    Args:
        path: of the file.
        memory_map: whether arrays are read-only memory maps, or in memory.
        verify: whether all bytes are read and compared with their checksums.

    Raises:
        ValueError: with what is wrong, if the file is of another kind, truncated, damaged or of a later
            version.
    """
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(BEGIN)) != BEGIN:
            raise ValueError("it is a file of another kind")
        description, end = _contents(file, size)
    arrays = {name: _array(path, entry, end, memory_map) for name, entry in description["arrays"].items()}
    if verify:
        for name, entry in description["arrays"].items():
            if _checksum(arrays[name]) != entry["checksum"]:
                raise ValueError(f"it is damaged: {name} is not what was written")
    return description, arrays


def _contents(file, size):
    tail = TAIL + len(END)
    file.seek(max(0, size - tail))
    last = file.read(tail)
    if len(last) < tail or last[TAIL:] != END:
        raise ValueError(f"it is truncated: its end is missing after {size} bytes")
    length, checksum = map(int, last[:TAIL].split())
    file.seek(size - tail - length)
    contents = file.read(length)
    if zlib.crc32(contents) != checksum:
        raise ValueError("it is damaged: its table of contents is not what was written")
    description = json.loads(contents)
    if description["version"] > VERSION:
        raise ValueError(
            f"it is of version {description['version']}, this release reads up to version {VERSION}"
        )
    return description, size - tail - length


def _array(path, entry, end, memory_map):
    dtype, shape = np.dtype(DTYPES[DTYPES.index(entry["dtype"])]), tuple(entry["shape"])
    count = int(np.prod(shape))
    if entry["offset"] + count * dtype.itemsize > end:
        raise ValueError(f"it is damaged: it holds fewer bytes than the {count} numbers that it speaks of")
    if not count:  # which cannot be mapped
        return np.empty(shape, dtype)
    if memory_map:
        return np.asarray(np.memmap(path, dtype, "r", entry["offset"], shape))
    return np.fromfile(path, dtype, count, offset=entry["offset"]).reshape(shape)


def _checksum(array):
    flat, checksum = array.reshape(-1).view("uint8"), 0
    for start in range(0, flat.size, BLOCK):
        checksum = zlib.crc32(memoryview(flat[start : start + BLOCK]), checksum)
    return checksum
