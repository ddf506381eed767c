"""Faces of known names, and batches that carry them."""

from collections.abc import Mapping, Sequence

import numpy as np

from applications.face_naming.formats import CaptionedPhoto, PhotoBatches

PICKS = ("medoid", "mean", "random")


def is_easy(photo: CaptionedPhoto) -> bool:
    """Whether the photo has one face and one name, so that its caption as good as tells who it is."""
    return len(photo.faces) == 1 and len(photo.names) == 1


def face_bank(photos: Sequence[CaptionedPhoto]) -> dict[str, np.ndarray]:
    """The faces of every name that occurs in an easy photo.

    Delete a person with `del bank[name]`.

    Args:
        photos: any photos; only easy ones are read.

    Returns:
        For each name `(faces, ...)`.

    Raises:
        ValueError: if no photo is easy.
    """
    faces: dict[str, list[np.ndarray]] = {}
    for photo in filter(is_easy, photos):
        faces.setdefault(photo.names[0], []).append(photo.faces[0])
    if not faces:
        raise ValueError("photos must hold at least one with one face and one name, got none.")
    return {name: np.stack(some) for name, some in faces.items()}


class BankedBatches(PhotoBatches):
    """Batches of captioned photos with a stored face for each name that the bank knows.

    Items have, beside those of `PhotoBatches`, `bank_faces` `(batch, names, ...)` and `bank_mask`
    `(batch, names)`, `True` where the slot's name is in the bank.

    Args:
        photos: the photos.
        bank: `(faces, ...)` of each known name, as `face_bank` makes it.
        name_features: as for `PhotoBatches`.
        pick: which of a name's faces is shown: `"medoid"`, the one nearest to the others; `"mean"`; or
            `"random"`, drawn anew for each photo as a function of seed, epoch and batch.
        **options: of `PhotoBatches`.

    Raises:
        ValueError: if `pick` is unknown, a name of the bank has no face, or its faces differ in shape from
            those of the photos.
    """

    def __init__(
        self,
        photos: Sequence[CaptionedPhoto],
        bank: Mapping[str, np.ndarray],
        name_features: Mapping[str, np.ndarray] | None = None,
        pick: str = "medoid",
        **options,
    ) -> None:
        super().__init__(photos, name_features, **options)
        if pick not in PICKS:
            raise ValueError(f"pick must be one of {', '.join(PICKS)}, got {pick!r}.")
        for name, faces in bank.items():
            if faces.ndim < 2 or len(faces) == 0 or faces.shape[1:] != self._face_shape:
                raise ValueError(
                    f"bank must hold at least one face of shape {self._face_shape} for each name, "
                    f"got {faces.shape} for {name!r}."
                )
        self.pick = pick
        self.bank = {name: faces if pick == "random" else _one(faces, pick) for name, faces in bank.items()}

    def read(self, index: int, order: Sequence[int]) -> dict[str, np.ndarray]:
        item = super().read(index, order)
        index = range(len(self))[index]
        shape = item["name_mask"].shape
        bank_faces, bank_mask = np.zeros((*shape, *self._face_shape), "float32"), np.zeros(shape, bool)
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        generator = np.random.default_rng((self.seed, self.epoch, index))
        for row, position in enumerate(chosen):
            for slot, name in enumerate(self.photos[position].names):
                if name in self.bank:
                    faces = self.bank[name]
                    bank_faces[row, slot] = faces[generator.integers(len(faces))]
                    bank_mask[row, slot] = True
        return {**item, "bank_faces": bank_faces, "bank_mask": bank_mask}


def _one(faces: np.ndarray, pick: str) -> np.ndarray:
    """The medoid or the mean of some faces, as an array of one face."""
    if pick == "mean":
        return faces.mean(axis=0, keepdims=True)
    flat = faces.reshape(len(faces), -1).astype("float64")
    square = (flat**2).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square - 2 * flat @ flat.T, 0))
    return faces[[distance.sum(axis=1).argmin()]]
