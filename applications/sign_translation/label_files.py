"""The label files of PHOENIX14T and CSL-Daily, and a format that is safe to pass on.

As the authors of the method give them out, labels are a gzipped pickle of a dict, from the name of a clip to
its `name`, `gloss`, `text`, `length` and `imgs_path`. A pickle can run any code when it is opened; these are
opened by a reader that knows plain containers, strings and numbers only.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from applications.files import write_text
from applications.pictures import listed, relative_name

__all__ = ["ClipLabel", "convert_labels", "read_labels"]

_MOST_BYTES = 1024**3  # unpacked; the largest known file has under 300 MB
_FORMAT = "signed clips"

logger = logging.getLogger("contrast")


@dataclass(frozen=True)
class ClipLabel:
    """What is known of one clip.

    Args:
        name: of the clip.
        sentence: what is signed, in words.
        files: paths of its frames in their order, relative to a folder of the data set.
        gloss: the names of the signs; no model may see them.
    """

    name: str
    sentence: str
    files: tuple[str, ...]
    gloss: str = ""


def read_labels(path: str | Path) -> list[ClipLabel]:
    """Reads a label file: JSON as `convert_labels` writes it, else a pickle, gzipped or not.

    Args:
        path: of the file; `.json` for the former.

    Returns:
        The labels in the order of the file. Clips without a sentence are left out and listed in a warning.

    Raises:
        ValueError: if the file cannot be read, is damaged or tries to run code; or a label misses a part, a
            part is of a wrong type, or a path leads out of the data set. The message names the clip.
    """
    path = Path(path)
    content = _bytes(path)
    entries = _from_json(content, path) if path.suffix.lower() == ".json" else _from_pickle(content, path)
    if not entries:
        raise ValueError(f"{path} must hold at least one clip, got none.")
    labels, silent = [], []
    for name, entry in entries:
        label = _label(name, entry, path)
        if label.sentence:
            labels.append(label)
        else:
            silent.append(label.name)
    if silent:
        logger.warning("Left out: clips without a sentence (%d): %s.", len(silent), listed(silent))
    if not labels:
        raise ValueError(f"{path} holds no clip with a sentence.")
    return labels


def convert_labels(path: str | Path, target: str | Path) -> int:
    """Writes the labels of a pickle as JSON, which any program reads and which cannot run code.

    Args:
        path: of the label file.
        target: of the new file, which ends on `.json`.

    Returns:
        The number of clips.

    Raises:
        ValueError: as `read_labels`, or if `target` ends otherwise.
    """
    target = Path(target)
    if target.suffix.lower() != ".json":
        raise ValueError(f"target must end on .json, got {target.name}.")
    labels = read_labels(path)
    clips = [
        {"name": label.name, "sentence": label.sentence, "gloss": label.gloss, "files": label.files}
        for label in labels
    ]
    write_text(target, json.dumps({"format": _FORMAT, "clips": clips}, ensure_ascii=False, indent=1) + "\n")
    return len(labels)


class _PlainUnpickler(pickle.Unpickler):
    """Knows no class and no function, so that nothing can be called."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}; only plain lists, tuples, dicts, sets, strings, bytes, numbers, "
            "booleans and None are opened, as a pickle could run any code"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error
    if len(content) > _MOST_BYTES:
        raise ValueError(f"{path} must unpack to at most {_MOST_BYTES:,} bytes.")
    return content


def _from_pickle(content: bytes, path: Path) -> list[tuple[Any, Any]]:
    try:
        loaded = _PlainUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # damaged pickles raise anything
        raise ValueError(f"{path} cannot be opened: {error}.") from None
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} must hold a dict of clips, got {type(loaded).__name__}.")
    return list(loaded.items())


def _from_json(content: bytes, path: Path) -> list[tuple[Any, Any]]:
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}.") from None
    clips = loaded.get("clips") if isinstance(loaded, dict) and loaded.get("format") == _FORMAT else None
    if not isinstance(clips, list):
        raise ValueError(f'{path} must hold {{"format": "{_FORMAT}", "clips": [...]}}.')
    names = [clip.get("name") if isinstance(clip, dict) else None for clip in clips]
    return list(zip(names, clips, strict=True))


def _label(name: Any, entry: Any, path: Path) -> ClipLabel:
    """One label of either format."""
    if not isinstance(name, str) or not isinstance(entry, dict):
        raise ValueError(f"{path} must hold a dict for each named clip, got {type(entry).__name__}.")
    of = f"{path}, clip {name!r}:"
    sentence = entry["text"] if "text" in entry else entry.get("sentence")
    files = entry["imgs_path"] if "imgs_path" in entry else entry.get("files")
    gloss = entry.get("gloss") or ""
    if not isinstance(sentence, str):
        raise ValueError(f"{of} text must be a string, got {type(sentence).__name__}.")
    if not isinstance(files, list | tuple) or not all(isinstance(file, str) for file in files):
        raise ValueError(f"{of} imgs_path must be a list of strings, got {type(files).__name__}.")
    if not isinstance(gloss, str):
        raise ValueError(f"{of} gloss must be a string, got {type(gloss).__name__}.")
    try:
        files = tuple(relative_name(file) for file in files)
    except ValueError as error:
        raise ValueError(f"{of} {error}") from None
    return ClipLabel(name, sentence.strip(), files, gloss)
