"""Captioned photos as a folder of plain files, for faces and names that were encoded elsewhere.

photos.json         a list of {"key", "caption", "names", "faces", "truth"}; "faces" are row numbers of
faces.npy faces.npy           (faces, width) vectors or (faces, height, width, channels) crops, float
name_features.npz   a vector for each name and for NONAME; absent where names are to be read as text
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from applications.face_naming.formats import CaptionedPhoto

PHOTOS, FACES, NAME_FEATURES = "photos.json", "faces.npy", "name_features.npz"


def load_folder(path: str | Path) -> tuple[list[CaptionedPhoto], dict[str, np.ndarray] | None]:
    """Reads what `save_folder` writes.

    Args:
        path: the folder.

    Returns:
        The photos, and the name features or `None`.

    Raises:
        ValueError: if a file is missing or damaged, or a photo is wrong; the message names it.
    """
    path = Path(path)
    try:
        entries = json.loads((path / PHOTOS).read_text(encoding="utf-8"))
        faces = np.load(path / FACES, allow_pickle=False)
        features = None
        if (path / NAME_FEATURES).exists():
            with np.load(path / NAME_FEATURES, allow_pickle=False) as arrays:
                features = dict(arrays)
    except FileNotFoundError as error:
        raise ValueError(
            f"{path} must hold {PHOTOS} and {FACES}; {Path(error.filename).name} is missing."
        ) from error
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"A file in {path} cannot be read: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path / PHOTOS} must hold a list of at least one photo.")
    return [_photo(entry, number, faces) for number, entry in enumerate(entries)], features


def save_folder(
    path: str | Path, photos: Sequence[CaptionedPhoto], name_features: Mapping[str, np.ndarray] | None = None
) -> None:
    """Writes photos so that `load_folder` reads them; pictures and boxes are not kept.

    Args:
        path: a folder; made if need be.
        photos: the photos.
        name_features: vectors of names and of `NONAME`, or `None`.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    entries, rows, start = [], [], 0
    for photo in photos:
        entry = {"key": photo.key, "caption": photo.caption, "names": list(photo.names)}
        entry["faces"] = list(range(start, start + len(photo.faces)))
        if photo.truth is not None:
            entry["truth"] = list(photo.truth)
        entries.append(entry)
        rows.extend(photo.faces)
        start += len(photo.faces)
    np.save(path / FACES, np.array(rows, "float32"))
    if name_features is not None:
        np.savez(path / NAME_FEATURES, **name_features)
    (path / PHOTOS).write_text(json.dumps(entries, indent=1, ensure_ascii=False), encoding="utf-8")


def _photo(entry, number, faces):
    """The photo of one entry of `photos.json`."""
    place = f"{PHOTOS}, photo {number}"
    if not isinstance(entry, dict) or "names" not in entry or "faces" not in entry:
        raise ValueError(f'{place} must be an object with "names" and "faces".')
    rows = entry["faces"]
    if not all(isinstance(row, int) and 0 <= row < len(faces) for row in rows):
        raise ValueError(
            f'{place}: "faces" must be row numbers of {FACES}, 0 to {len(faces) - 1}, got {rows}.'
        )
    truth = entry.get("truth")
    return CaptionedPhoto(
        faces=faces[rows] if rows else faces[:0],
        names=tuple(entry["names"]),
        caption=entry.get("caption", ""),
        truth=None if truth is None else tuple(truth),
        key=entry.get("key") or str(number),
    )
