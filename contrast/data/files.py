"""Files that are whole or absent."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path`, with the same suffix, that takes its place at the end.

    After an error inside the block, such as a full disk, `path` is as it was and the temporary file is gone.
    What takes the place of `path` has reached the disk before.

    Args:
        path: the file to be written; its folder exists.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "weights.npz"
    >>> with whole_file(path) as temporary:
    ...     np.savez(temporary, kernel=np.zeros(3))
    >>> path.exists()
    True
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}{threading.get_native_id()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
