"""One folder of features on disk: arrays, and a record that is written last."""

import contextlib
import json
import logging
import os
import shutil
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import keras
import numpy as np

logger = logging.getLogger("contrast")

RECORD = "record.json"
FORMAT = 1
_PART = ".part-"
_DAY = 24 * 3600


def read_record(folder: Path) -> dict | None:
    """The record of a complete entry; `None` if there is none, or its arrays are not what it says."""
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        complete = record["format"] == FORMAT and all(
            (folder / file["name"]).stat().st_size == file["bytes"] for file in record["files"]
        )
        return record if complete else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_arrays(folder: Path, record: dict) -> Any:
    """The tree of features, as read-only memory maps."""
    arrays = []
    for file in record["files"]:
        empty = 0 in file["shape"]  # which cannot be mapped
        arrays.append(np.load(folder / file["name"], mmap_mode=None if empty else "r", allow_pickle=False))
    return _assembled(record["tree"], arrays)


class Writer:
    """Takes features batch by batch and turns them into an entry, or into arrays where the disk refuses.

    Rows are appended to plain files: writing into a memory map on a full disk would end the process. All
    goes into a hidden folder, which takes its name at the end, when everything has reached the disk. The
    processes that compute the same features at once each have a hidden folder of their own, and the first
    one that ends gives the name.

    Args:
        folder: where the entry shall be.
        rows: how many rows there will be.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows, self.done = folder, rows, 0
        self.tree, self.shapes, self.dtypes = None, [], []
        self.files, self.in_memory = [], []
        self.not_finite = {"rows": 0, "first": None}
        self.part = folder.with_name(f"{_PART}{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        self.on_disk = True
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.part.parent)
            self.part.mkdir()
        except OSError as error:
            self._give_up_disk(error)

    def add(self, features: Any) -> None:
        """Appends the features of one batch.

        Raises:
            ValueError: if they have another structure, shape or type than those before.
        """
        leaves = []
        tree = _structure(features, leaves)
        leaves = [_storable(leaf) for leaf in leaves]
        shapes, dtypes = [list(leaf.shape[1:]) for leaf in leaves], [leaf.dtype.str for leaf in leaves]
        if self.tree is None:
            self._start(tree, shapes, dtypes)
        if (tree, shapes, dtypes) != (self.tree, self.shapes, self.dtypes):
            raise ValueError(
                f"features must be alike in every batch, got {tree} of shapes {shapes} and types {dtypes} "
                f"after {self.tree} of {self.shapes} and {self.dtypes}."
            )
        self._count_not_finite(leaves)
        if self.on_disk:
            try:
                for file, leaf in zip(self.files, leaves, strict=True):
                    file.write(leaf.tobytes())
                    file.flush()
            except OSError as error:
                self._give_up_disk(error)
        if not self.on_disk:
            for kept, leaf in zip(self.in_memory, leaves, strict=True):
                kept.append(leaf)
        self.done += len(leaves[0])

    def finish(self, record: dict) -> Any:
        """The tree of features: memory maps, or arrays if the disk refused."""
        if self.on_disk:
            try:
                return self._into_place(record)
            except OSError as error:
                self._give_up_disk(error)
        return _assembled(self.tree, [np.concatenate(kept) for kept in self.in_memory])

    def discard(self) -> None:
        """Removes what was written, if it did not take its place."""
        for file in self.files:
            with contextlib.suppress(OSError):  # what is left to write may not fit
                file.close()
        shutil.rmtree(self.part, ignore_errors=True)

    def _count_not_finite(self, leaves):
        finite = [np.isfinite(leaf).all(axis=tuple(range(1, leaf.ndim))) for leaf in leaves]
        rows = np.flatnonzero(~np.all(finite, axis=0))
        if rows.size and not self.not_finite["rows"]:
            self.not_finite["first"] = self.done + int(rows[0])
        self.not_finite["rows"] += rows.size

    def _start(self, tree, shapes, dtypes):
        self.tree, self.shapes, self.dtypes = tree, shapes, dtypes
        self.in_memory = [[] for _ in shapes]
        if not self.on_disk:
            return
        try:
            for number, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True)):
                self.files.append((self.part / f"{number}.npy").open("wb"))
                header = {"descr": dtype, "fortran_order": False, "shape": (self.rows, *shape)}
                np.lib.format.write_array_header_1_0(self.files[-1], header)
                self.files[-1].flush()
        except OSError as error:
            self._give_up_disk(error)

    def _into_place(self, record):
        files = []
        for file, shape, dtype in zip(self.files, self.shapes, self.dtypes, strict=True):
            os.fsync(file.fileno())
            size = file.tell()
            file.close()
            files.append(
                {"name": Path(file.name).name, "shape": [self.rows, *shape], "dtype": dtype, "bytes": size}
            )
        record = {
            "format": FORMAT,
            **record,
            "tree": self.tree,
            "files": files,
            "not_finite": self.not_finite,
        }
        with (self.part / RECORD).open("w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        try:
            self.part.rename(self.folder)
        except OSError:
            theirs = read_record(self.folder)
            if theirs is not None:  # another process was first
                self.discard()
                return open_arrays(self.folder, theirs)
            # What stands there is damaged.
            self.folder.rename(self.part.with_name(f"{self.part.name}-damaged"))
            shutil.rmtree(self.part.with_name(f"{self.part.name}-damaged"), ignore_errors=True)
            self.part.rename(self.folder)
        return open_arrays(self.folder, record)

    def _give_up_disk(self, error):
        logger.warning("Features are not kept in %s: %s. They stay in memory.", self.folder.parent, error)
        self.on_disk = False
        if self.done:
            self.in_memory = [
                [self._written(number, shape, dtype)]
                for number, (shape, dtype) in enumerate(zip(self.shapes, self.dtypes, strict=True))
            ]
        self.discard()

    def _written(self, number, shape, dtype):
        """The complete batches that have reached a file, in memory."""
        with (self.part / f"{number}.npy").open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            count = self.done * int(np.prod(shape))
            return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype).reshape(-1, *shape)


def remove_leftovers(folder: Path) -> None:
    """Removes hidden folders of processes on this machine that have ended, and those untouched for a day."""
    for part in folder.glob(f"{_PART}*"):
        host, pid, *_ = [*part.name.removeprefix(_PART).rsplit("-", 2), ""]
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (part, *part.iterdir()))
            ended = host == socket.gethostname() and pid.isdigit() and _has_ended(int(pid))
            if ended or time.time() - newest > _DAY:
                shutil.rmtree(part, ignore_errors=True)


def _has_ended(pid):
    if os.name != "posix":  # elsewhere signal 0 ends the process that is asked
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _storable(leaf):
    leaf = np.ascontiguousarray(leaf)
    if leaf.dtype.name == "bfloat16":  # .npy has no name for it; float32 holds every value
        leaf = leaf.astype("float32")
    if leaf.dtype.kind not in "biufc":
        raise ValueError(f"features must be numbers, got {leaf.dtype}.")
    return leaf


def _structure(tree, leaves):
    """What JSON can write of a tree: numbers stand for the leaves, which are collected."""
    if isinstance(tree, dict):
        return {"dict": {str(key): _structure(value, leaves) for key, value in tree.items()}}
    if isinstance(tree, list | tuple):
        return {type(tree).__name__: [_structure(value, leaves) for value in tree]}
    leaves.append(keras.ops.convert_to_numpy(tree))
    return len(leaves) - 1


def _assembled(tree, leaves):
    if isinstance(tree, int):
        return leaves[tree]
    if "dict" in tree:
        return {key: _assembled(value, leaves) for key, value in tree["dict"].items()}
    kind, values = next(iter(tree.items()))
    values = [_assembled(value, leaves) for value in values]
    return values if kind == "list" else tuple(values)
