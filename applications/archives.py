"""Zip files that strangers send: looked through before anything is unpacked."""

import shutil
import stat
import zipfile
from pathlib import Path

from applications.pictures import relative_name

MOST_FILES = 5000
MOST_BYTES = 500 * 1024**2  # unpacked
MOST_RATIO = 200  # of unpacked to packed size; pictures are compressed already


def unpack_zip(path: str | Path, folder: str | Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Unpacks the files of a zip that end on one of `suffixes`; other files stay packed.

    Sizes are checked against the archive's own table before, and counted again while bytes arrive.

    Args:
        path: of the archive.
        folder: where to; a folder that does not exist yet.
        suffixes: lower case with the dot, such as `(".jpg", ".png")`.

    Returns:
        The unpacked files, sorted.

    Raises:
        ValueError: if `folder` exists; if the file is no zip, is damaged or encrypted, holds names that lead
            out of the folder or links, too many or too large files, or none with these suffixes. Nothing is
            unpacked then.

    Example:

    >>> import tempfile, zipfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
    ...     archive.writestr("good/1.png", b"...")
    >>> [file.name for file in unpack_zip(folder / "pictures.zip", folder / "out", (".png",))]
    ['1.png']
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"folder must be a new one, got {folder}, which exists.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked(archive, suffixes)
            try:
                return sorted(_unpack(archive, entries, folder))
            except Exception:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except ValueError:
        raise
    except Exception as error:  # zipfile and what unpacks for it raise many kinds on damaged files
        raise ValueError(
            f"The zip file cannot be read, it is damaged or of an unknown kind: {error}"
        ) from error


def _checked(archive, suffixes):
    """The entries to unpack, by their path below the folder."""
    entries = {}
    for entry in archive.infolist():
        if entry.is_dir() or "__MACOSX/" in entry.filename:
            continue
        name = relative_name(entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ValueError(f"The zip file must not hold links, got {name}.")
        if entry.flag_bits & 1:
            raise ValueError(f"The zip file must not be encrypted; {name} is.")
        if Path(name).suffix.lower() in suffixes and not Path(name).name.startswith("."):
            entries[name] = entry
    if not entries:
        raise ValueError(f"The zip file must hold files ending on {', '.join(suffixes)}, got none.")
    if len(entries) > MOST_FILES:
        raise ValueError(f"The zip file may hold at most {MOST_FILES:,} pictures, got {len(entries):,}.")
    unpacked = sum(entry.file_size for entry in entries.values())
    packed = sum(entry.compress_size for entry in entries.values())
    if unpacked > MOST_BYTES or unpacked > MOST_RATIO * max(packed, 1024):
        raise ValueError(
            f"The zip file may hold at most {MOST_BYTES // 1024**2} MB when unpacked, and {MOST_RATIO} times "
            f"its own size; it says {unpacked / 1024**2:,.0f} MB."
        )
    return entries


def _unpack(archive, entries, folder):
    left = MOST_BYTES
    for name, entry in entries.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("wb") as file:
            while chunk := source.read(1024**2):
                left -= len(chunk)
                if left < 0:
                    raise ValueError(
                        f"The zip file unpacks to more than {MOST_BYTES // 1024**2} MB, more than it says."
                    )
                file.write(chunk)
        yield target
