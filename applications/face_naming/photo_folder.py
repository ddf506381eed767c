"""A folder of photographs with captions, as a person keeps it.

photos/        pictures: .jpg, .jpeg, .png or .webp, in any case; folders in it are looked into
captions.csv   columns `file` (path in photos/), `caption`, and optional `names`, separated by semicolons
.faces/        made here: the faces that were found, so that the next start is quick
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from applications.face_naming.captions import NONAME
from applications.face_naming.formats import CaptionedPhoto
from applications.face_naming.photo_table import Row, read_table
from applications.named_files import NamedFiles, folded, in_words
from applications.pictures import listed, read_image
from contrast.data.files import whole_file

__all__ = ["CAPTIONS", "load_photo_folder"]

CAPTIONS, PHOTOS, FOUND_FACES = "captions.csv", "photos", ".faces"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

logger = logging.getLogger("contrast")


def load_photo_folder(
    path: str | Path,
    find_faces: Callable[[np.ndarray], Any] | None = None,
    propose: Callable[[str], Sequence[str]] | None = None,
) -> list[CaptionedPhoto]:
    """Reads `photos/` and `captions.csv`, finds faces in the pictures and names in the captions.

    What is found in a picture is kept in the folder `.faces`, under a digest of the file and of what finds
    faces, so that only new or changed pictures are looked at again, and an interrupted reading goes on.
    Delete that folder to delete the face vectors.

    Args:
        path: the folder.
        find_faces: from a `(height, width, 3)` uint8 picture to an object with `boxes` `(faces, 4)` and
            `vectors` `(faces, width)`; `None`: `applications.face_naming.real_faces.find_faces`, which needs
            the extra `faces`. Options are given with `functools.partial(find_faces, threshold=...)`. What
            lambdas, inner functions and methods find is not kept, because no name tells these apart.
        propose: from a caption to the names in it, for rows without names; `None`:
            `applications.face_naming.name_proposals.propose_names`.

    Returns:
        The photos in the order of the table, with face vectors, boxes, and the file as key. Photos without
        faces are among them. Damaged pictures are left out and listed in a warning, as are rows without a
        picture and pictures without a row.

    Raises:
        MissingPackageError: if `find_faces` is `None` and the extra `faces` is not installed.
        ValueError: if a part of the folder is missing, the table is wrong or names a file twice, no photo
            can be read, or none has a face.
    """
    path = Path(path)
    if not (path / PHOTOS).is_dir():
        raise ValueError(f"{path} must hold the folder {PHOTOS} with pictures beside {CAPTIONS}.")
    rows = _matched(read_table(path / CAPTIONS), path)
    find_faces = find_faces or _default_finder()
    if propose is None and any(row.names is None for row, _ in rows):
        from applications.face_naming.name_proposals import propose_names as propose
    name = _name_of(find_faces)
    faces, photos, damaged = _FoundFaces(path / FOUND_FACES, name), [], []
    for row, file in tqdm(rows, "looking for faces", unit="photo", disable=None):
        try:
            boxes, vectors = faces.read(file, find_faces)
        except _DamagedError as error:
            damaged.append(str(error))
            continue
        photos.append((row, boxes, vectors))
    if damaged:
        logger.warning("Left out: pictures that cannot be read (%d): %s", len(damaged), listed(damaged))
    widths = [vectors.shape[1] for _, _, vectors in photos if len(vectors)]
    if not photos:
        raise ValueError(f"No picture in {path / PHOTOS} can be read: {listed(damaged)}.")
    if not widths:
        raise ValueError(f"No face was found in the {len(photos)} pictures in {path / PHOTOS}.")
    read = [
        CaptionedPhoto(
            vectors if len(vectors) else np.zeros((0, widths[0]), "float32"),
            row.names if row.names is not None else _proposed(propose, row.caption),
            caption=row.caption,
            boxes=boxes,
            key=row.file,
        )
        for row, boxes, vectors in photos
    ]
    logger.info(
        "%s: %d photos with %d faces, %d of them without a face; %d different names.",
        path,
        len(read),
        sum(len(photo.faces) for photo in read),
        sum(len(photo.faces) == 0 for photo in read),
        len({name for photo in read for name in photo.names}),
    )
    return read


class _DamagedError(ValueError):
    """A picture that cannot be read."""


class _FoundFaces:
    """Faces on disk, one file a picture; a folder that cannot be written costs the speed only."""

    def __init__(self, folder: Path, finder: str | None) -> None:
        self.folder, self.finder = folder, finder
        if finder is None:
            return
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            self._give_up(error)

    def read(self, file: Path, find_faces: Callable) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and vectors of the faces in a picture."""
        try:
            digest = hashlib.sha256(file.read_bytes())
        except OSError as error:
            raise _DamagedError(f"{file.name} cannot be read: {error.strerror or error}") from error
        kept = None
        if self.finder is not None:
            digest.update(self.finder.encode())
            kept = self.folder / f"{digest.hexdigest()[:40]}.npz"
            found = _kept(kept)
            if found is not None:
                return found
        try:
            image = read_image(file)
        except ValueError as error:
            raise _DamagedError(str(error)) from error
        found = find_faces(image)
        vectors = np.asarray(found.vectors, "float32")
        boxes = np.asarray(found.boxes, "float32").reshape(-1, 4)
        if vectors.ndim != 2 or len(vectors) != len(boxes):
            raise ValueError(
                f"find_faces must return vectors (faces, width) for its {len(boxes)} boxes, "
                f"got shape {vectors.shape} for {file.name}."
            )
        if kept is not None:
            try:
                with whole_file(kept) as temporary:
                    np.savez(temporary, boxes=boxes, vectors=vectors)
            except OSError as error:
                self._give_up(error)
        return boxes, vectors

    def _give_up(self, error: OSError) -> None:
        self.finder = None
        logger.warning("Faces are not kept for the next time, %s cannot be written: %s", self.folder, error)


def _kept(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """What was found earlier; `None` if nothing whole is there."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["boxes"], arrays["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _matched(rows: list[Row], path: Path) -> list[tuple[Row, Path]]:
    """Rows with the files they name; lists what has no partner in one warning."""
    files = NamedFiles(path / PHOTOS, SUFFIXES, "pictures")
    matched, lines, lonely = [], {}, []
    for row in rows:
        name = files.find(row.file, row.file.removeprefix(f"{PHOTOS}/"))
        lines.setdefault(name or folded(row.file), []).append(row)
        if name is None:
            lonely.append(f"{row.file} (line {row.line})")
        else:
            matched.append((row, files.paths[name]))
    repeated = [
        f"{same[0].file} (lines {', '.join(str(row.line) for row in same)})"
        for same in lines.values()
        if len(same) > 1
    ]
    if repeated:
        raise ValueError(f"{path / CAPTIONS} must name each file once, got {listed(repeated)}.")
    left_out = in_words(
        {
            f"rows of {CAPTIONS} without a file in {PHOTOS}": lonely,
            f"files in {PHOTOS} without a row": [name for name in files.paths if name not in lines],
        }
    )
    if not matched:
        raise ValueError(f"No row of {path / CAPTIONS} names a picture in {path / PHOTOS}. {left_out}.")
    if left_out:
        logger.warning("Left out: %s.", left_out)
    return matched


def _proposed(propose: Callable[[str], Sequence[str]], caption: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in propose(caption) if name != NONAME))


def _default_finder() -> Callable:
    from applications.environment import check_packages
    from applications.face_naming.real_faces import find_faces

    check_packages("dlib", "face_recognition_models")
    return find_faces


def _name_of(find_faces: Callable) -> str | None:
    """A name that changes with the function and its options; `None` if there is none."""
    options = {}
    while isinstance(find_faces, functools.partial):
        if find_faces.args:
            return None
        options = {**find_faces.keywords, **options}
        find_faces = find_faces.func
    name = getattr(find_faces, "__qualname__", "<")
    if "<" in name or inspect.ismethod(find_faces):
        return None
    parameters = inspect.signature(find_faces).parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    return f"{find_faces.__module__}.{name} {sorted({**defaults, **options}.items())!r}"
