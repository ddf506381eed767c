"""Folders of captioned photos, recognised by the files in them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from applications.face_naming.annotated import read_entries
from applications.face_naming.augmented_lfw import load_augmented_lfw
from applications.face_naming.celebrity_together import load_celebrity_together
from applications.face_naming.formats import CaptionedPhoto
from applications.face_naming.photo_folder import CAPTIONS, load_photo_folder

PHOTOS, FACES, NAME_FEATURES = "photos.json", "faces.npy", "name_features.npz"
IMAGES, VECTORS = "images", "faces.npz"

_DICTIONARIES = {"face_x": load_augmented_lfw, "bbox": load_celebrity_together}
_KINDS = """  photos/ and captions.csv              your photographs with their captions
  photos.json and faces.npy             what save_folder writes
  one dictionary (*.json) of the augmented LFW or of Celebrity Together, with faces.npz (for each photo's key
  its face vectors), images/, or the pictures at the paths that it names"""


def load_folder(path: str | Path) -> tuple[list[CaptionedPhoto], dict[str, np.ndarray] | None]:
    """Reads a folder of captioned photos of any kind that is known here.

    The first of these that the folder holds is read; `name_features.npz`, a vector for each name and for
    `NONAME`, may be added to each, otherwise names are read as text.

    - `photos.json`, a list of `{"key", "caption", "names", "faces", "truth"}`, where `"faces"` are row
      numbers of `faces.npy`, `(faces, width)` vectors or `(faces, height, width, channels)` crops: what
      `save_folder` writes;
    - `captions.csv` and the folder `photos`: see `load_photo_folder`;
    - one dictionary of the augmented LFW (`load_augmented_lfw`) or of Celebrity Together
      (`load_celebrity_together`), any `*.json`, with `faces.npz`, which holds `(faces, width)` vectors for
      each photo's key, or else pictures in `images` or at the paths that the dictionary names.

    Args:
        path: the folder.

    Returns:
        The photos, and the name features or `None`.

    Raises:
        ValueError: if the folder is of none of these kinds, a file is missing or damaged, or a photo is
            wrong; the message names it.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path} must be an existing folder.")
    if (path / PHOTOS).exists() or (path / FACES).exists():
        photos = _saved(path)
    elif (path / CAPTIONS).exists():
        photos = load_photo_folder(path)
    else:
        photos = _from_dictionary(path)
    return photos, _name_features(path)


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


def _saved(path):
    """The photos of `save_folder`."""
    try:
        entries = json.loads((path / PHOTOS).read_text(encoding="utf-8"))
        faces = np.load(path / FACES, allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError(
            f"{path} must hold {PHOTOS} and {FACES}; {Path(error.filename).name} is missing."
        ) from error
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"A file in {path} cannot be read: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path / PHOTOS} must hold a list of at least one photo.")
    return [_photo(entry, number, faces) for number, entry in enumerate(entries)]


def _name_features(path):
    return _arrays(path / NAME_FEATURES) if (path / NAME_FEATURES).exists() else None


def _arrays(file):
    """The arrays of an `.npz` file by their names."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # zipfile and NumPy raise many kinds on damaged files
        raise ValueError(f"{file} cannot be read: {error}") from error


def _from_dictionary(path):
    """The photos of the only dictionary in the folder."""
    loaders, problems = {}, []
    for file in sorted(path.glob("*.json")):
        try:
            loaders[file] = _loader(file)
        except ValueError as error:
            problems.append(f"\n{error}")
    if not loaders:
        raise ValueError(
            f"{path} holds no captioned photos that are known here. There must be one of\n{_KINDS}"
            f"{''.join(problems)}"
        )
    if len(loaders) > 1:
        names = ", ".join(file.name for file in loaders)
        raise ValueError(
            f"{path} must hold one dictionary, got {names}; leave one, or read one in Python with "
            "load_augmented_lfw or load_celebrity_together."
        )
    file, load = loaders.popitem()
    if (path / VECTORS).exists():
        return load(file, vectors=_arrays(path / VECTORS))
    images = path / IMAGES
    return load(file, images=images if images.is_dir() else path)


def _loader(file):
    """What reads a dictionary."""
    entries = read_entries(file).values()
    for field, loader in _DICTIONARIES.items():
        if any(field in entry for entry in entries):
            return loader
    raise ValueError(f"{file} is no such dictionary: no photo has {' or '.join(_DICTIONARIES)}.")


def _photo(entry, number, faces):
    """The photo of one entry of `photos.json`."""
    place = f"{PHOTOS}, photo {number}"
    if not isinstance(entry, dict) or "names" not in entry or "faces" not in entry:
        raise ValueError(f'{place} must be an object with "names" and "faces".')
    rows = entry["faces"]
    if not isinstance(rows, list) or not all(isinstance(row, int) and 0 <= row < len(faces) for row in rows):
        raise ValueError(
            f'{place}: "faces" must be row numbers of {FACES}, 0 to {len(faces) - 1}, got {rows}.'
        )
    try:
        return CaptionedPhoto(
            faces=faces[rows] if rows else faces[:0],
            names=entry["names"],
            caption=entry.get("caption", ""),
            truth=entry.get("truth"),
            key=entry.get("key") or str(number),
        )
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from error
