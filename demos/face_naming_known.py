"""Known faces of one visit: photos of one face and one name teach it, other photos are named by it."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from applications.face_naming.formats import NONAME
from applications.face_naming.real_faces import FACE_WIDTH
from contrast.layers import EmbeddingBank
from demos.uploads import UploadError

LIMIT = 0.6  # Euclidean; dlib's own advice for its face vectors
MOST_STORED = 200
MOST_NAMES = 20
LONGEST_NAME = 60


class NamedFace(NamedTuple):
    """What is said of one face.

    Attributes:
        name: from the caption, or `NONAME`.
        distance: to the nearest stored face of that name, or of the nearest name of the caption if there is
            no name; `None` if nothing is stored of any of them.
        reason: why, as a short phrase that holds no words of the user.
    """

    name: str
    distance: float | None
    reason: str


def read_names(text: str | None) -> tuple[str, ...]:
    """The names that a user wrote, separated by semicolons or lines.

    Raises:
        UploadError: if there are more than 20, or one is too long or reserved.
    """
    text = unicodedata.normalize("NFC", text or "")
    parts = (" ".join(part.split()) for line in text.splitlines() for part in line.split(";"))
    names = tuple(dict.fromkeys(filter(None, parts)))
    if len(names) > MOST_NAMES:
        raise UploadError(f"There are {len(names)} names; at most {MOST_NAMES} can be read.")
    if any(len(name) > LONGEST_NAME for name in names):
        raise UploadError(f"A name has more than {LONGEST_NAME} characters. Names are separated by ; here.")
    if NONAME in names:
        raise UploadError(f"{NONAME} stands for nobody; please write another name.")
    return names


class KnownFaces:
    """Face vectors by name, for as long as a visit lasts."""

    def __init__(self) -> None:
        self.bank = EmbeddingBank(FACE_WIDTH)

    def counts(self) -> dict[str, int]:
        """How many faces are stored of each name."""
        names = self.bank.keys()
        return {name: len(self.bank[name]) for name in names}

    def forget(self, name: str) -> None:
        """Deletes all that is stored of a person."""
        if name in self.bank:
            self.bank.delete(name)

    def name(self, vectors: np.ndarray, names: Sequence[str]) -> tuple[list[NamedFace], bool]:
        """Names the faces of one photo, and stores its face if that is the only one and so is the name.

        With several faces or names, each name goes to one face at most: the assignment of least total
        distance, in which only pairs nearer than 0.6 count.

        Args:
            vectors: `(faces, 128)`.
            names: who may be in the photo.

        Returns:
            One `NamedFace` a face, and whether a face was stored.

        Raises:
            UploadError: if no more faces can be stored.
        """
        distances = self._distances(vectors, names)
        if len(vectors) == 1 and len(names) == 1:
            return self._pair(vectors[0], names[0], float(distances[0, 0]))
        nobody = np.full((len(vectors), len(vectors)), LIMIT)
        table = np.concatenate([np.minimum(distances, 10 * LIMIT), nobody], axis=1)
        chosen = linear_sum_assignment(table)[1]
        return [self._face(row, names, column) for row, column in zip(distances, chosen, strict=True)], False

    def _pair(self, vector: np.ndarray, name: str, distance: float) -> tuple[list[NamedFace], bool]:
        """The only face of a photo and the only name of its caption."""
        if LIMIT <= distance < np.inf:
            reason = "differs from the stored faces of the only name"
            return [NamedFace(NONAME, distance, reason)], False
        new = not (name in self.bank and (self.bank[name] == vector).all(axis=1).any())
        if new:
            if sum(self.counts().values()) >= MOST_STORED:
                raise UploadError(f"{MOST_STORED} faces are stored; forget somebody to learn more.")
            self.bank.add(name, vector)
        if distance == np.inf:
            return [NamedFace(name, None, "the only face and the only name")], new
        return [NamedFace(name, distance, "the only name, and like its stored faces")], new

    def _face(self, row: np.ndarray, names: Sequence[str], column: int) -> NamedFace:
        nearest = float(row.min(initial=np.inf))
        if column < len(names):
            return NamedFace(names[column], float(row[column]), "like a stored face of this name")
        if nearest == np.inf:
            return NamedFace(NONAME, None, "no face of these names is stored" if names else "no names")
        if nearest < LIMIT:
            return NamedFace(NONAME, nearest, "the name it is nearest to fits another face better")
        return NamedFace(NONAME, nearest, "not like the stored faces of these names")

    def _distances(self, vectors: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """`(faces, names)`: to the nearest stored face of each name, infinite if there is none."""
        distances = np.full((len(vectors), len(names)), np.inf)
        for column, name in enumerate(names):
            if name in self.bank:
                stored = self.bank[name]
                apart = np.linalg.norm(vectors[:, None] - stored, axis=-1)
                distances[:, column] = apart.min(axis=1)
        return distances
