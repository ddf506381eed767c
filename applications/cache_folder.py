"""The folder in which the demos keep trained models and drawn data: where it is, what is in it, emptying it.

Nothing heavy is imported here.
"""

import importlib.metadata
import os
import re
from pathlib import Path

# as `applications.demo_cache.cache_name` makes them: TASK-VERSION-DIGEST and an ending
NAME = re.compile(r"(?P<task>[a-z0-9_]+)-(?P<version>\d[\w.+]*)-[0-9a-f]{12}\.\S+")


def cache_folder() -> Path:
    """Where trained demo models are kept: `CONTRAST_CACHE`, or `~/.cache/keras-contrast`."""
    chosen = os.environ.get("CONTRAST_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "keras-contrast"


def kept_files(folder: Path | None = None) -> list[Path]:
    """The files of all versions that the demos keep in a folder; whatever else lies there is left out.

    Args:
        folder: of the cache; `cache_folder()` if not given.
    """
    folder = cache_folder() if folder is None else folder
    try:
        return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_file())
    except OSError:  # there is none, or it cannot be looked into
        return []


def is_kept(task: str, folder: Path | None = None) -> bool:
    """Whether models of a task are kept that this version of the package trained.

    Args:
        task: the first part of the names of its models.
        folder: of the cache; `cache_folder()` if not given.
    """
    version = importlib.metadata.version("keras-contrast")
    names = (NAME.fullmatch(path.name) for path in kept_files(folder) if path.suffix == ".h5")
    return any(name["task"].startswith(task) and name["version"] == version for name in names)


def size(files: list[Path]) -> int:
    """Bytes of files; one that has gone meanwhile has none."""
    return sum(_bytes(path) for path in files)


def clear(files: list[Path]) -> tuple[int, int]:
    """Deletes files.

    Returns:
        how many there were, and their bytes. One that cannot be deleted is not counted.
    """
    count = freed = 0
    for path in files:
        held = _bytes(path)
        try:
            path.unlink()
        except OSError:
            continue
        count, freed = count + 1, freed + held
    return count, freed


def in_words(count: int, held: int) -> str:
    """Such as `"3 files, 12.5 MB"`."""
    return f"{count} file{'' if count == 1 else 's'}, {held / 1e6:.1f} MB"


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
