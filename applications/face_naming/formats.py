"""What a user has (photos with captions, faces and names) and the padded batches that a model reads."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from applications.face_naming import photo_checks as checks
from applications.face_naming.captions import NONAME, names_in_caption

__all__ = [
    "NONAME",
    "NONAME_ID",
    "CaptionedPhoto",
    "NamedPhoto",
    "PhotoBatches",
    "byte_ids",
    "names_in_caption",
    "split_photos",
]

NONAME_ID = 257

logger = logging.getLogger("contrast")


@dataclass(frozen=True, eq=False)
class CaptionedPhoto:
    """One photo: its faces and the names that its caption mentions; who is who is not known.

    Args:
        faces: `(faces, width)` float features, or `(faces, height, width, channels)` float crops in [0, 1]. A
            photo without faces has an array of length 0. Kept as float32.
        names: the distinct names of the caption in any order, without `NONAME`; may be empty.
        caption: the caption's text.
        image: `(height, width)` or `(height, width, 3)` uint8, for display.
        boxes: `(faces, 4)` left, top, right, bottom of each face in pixels of `image`.
        truth: per face the right name, or `NONAME` for a person who is not named. Only evaluation reads it.
        key: what error messages call the photo, for instance its file name.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if a shape, range or value is wrong, or faces hold NaN or infinity.
    """

    faces: np.ndarray
    names: tuple[str, ...]
    caption: str = ""
    image: np.ndarray | None = None
    boxes: np.ndarray | None = None
    truth: tuple[str, ...] | None = None
    key: str = ""

    def __post_init__(self) -> None:
        for argument in ("caption", "key"):
            if not isinstance(getattr(self, argument), str):
                given = type(getattr(self, argument)).__name__
                raise TypeError(
                    f"{argument}{checks.of(self.key)} must be a string ('' for none), got {given}."
                )
        faces = checks.checked_faces(self.faces, self.key)
        checked = {"faces": faces, "names": checks.checked_names(self.names, self.key)}
        if self.image is not None:
            checked["image"] = checks.checked_image(self.image, self.key)
        if self.boxes is not None:
            checked["boxes"] = checks.checked_boxes(self.boxes, len(faces), self.key)
        if self.truth is not None:
            checked["truth"] = checks.checked_truth(self.truth, checked["names"], len(faces), self.key)
        for field, value in checked.items():
            object.__setattr__(self, field, value)  # the dataclass is frozen for users


@dataclass(frozen=True, eq=False)
class NamedPhoto:
    """The names that a model gave to the faces of one photo.

    Args:
        candidates: the photo's names, then `NONAME`.
        scores: `(faces, candidates)` similarity of every face with every candidate.
        names: the chosen candidate of each face, which may be `NONAME`.
        margins: `(faces,)` best score minus second best; infinite where there is one candidate.
        noface: the names that no face received.
    """

    candidates: tuple[str, ...]
    scores: np.ndarray
    names: tuple[str, ...]
    margins: np.ndarray
    noface: tuple[str, ...]

    def __post_init__(self) -> None:
        if np.shape(self.scores) != (len(self.names), len(self.candidates)):
            raise ValueError(
                f"scores must be (faces, candidates) = ({len(self.names)}, {len(self.candidates)}), "
                f"got {np.shape(self.scores)}."
            )


class PhotoBatches(keras.utils.PyDataset):
    """Padded batches of captioned photos, of one static shape.

    An item is a dict of arrays for `batch` photos, F faces and N names, the largest counts of any photo
    (N counts `NONAME`, the last real name slot of every photo):

    - `faces`: `(batch, F, width)` or `(batch, F, height, width, channels)` float32;
    - `face_mask`: `(batch, F)` bool, True for a real face;
    - `names`: `(batch, N, width)` float32 features, or `(batch, N, name_length)` int32 byte ids;
    - `name_mask`: `(batch, N)` bool, True for a real name or `NONAME`.

    The last batch is filled with empty photos, all masks False. The order is a function of `(seed, epoch)`,
    where `epoch` counts the calls of `on_epoch_end`; set `epoch` to replay one. Keras's `fit` shuffles the
    batches once more, by Python's global `random`, unless it is called with `shuffle=False`.

    Args:
        photos: the photos; faces of all of them have one shape.
        name_features: float vector of each name and of `NONAME`, all of one width; `None` gives byte ids.
        batch_size: photos in a batch.
        shuffle: whether a new epoch has a new order; otherwise photos come as given.
        seed: non-negative integer.
        name_length: bytes of a name that are kept, if names are byte ids.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if there is no photo, face shapes differ, or a name lacks its (finite) feature.

    Example:

    >>> batches = PhotoBatches([CaptionedPhoto(np.zeros((2, 8), "float32"), ("Ada", "Alan"))], batch_size=4)
    >>> batches[0]["name_mask"].sum(axis=1)
    array([3, 0, 0, 0])
    """

    def __init__(
        self,
        photos: Sequence[CaptionedPhoto],
        name_features: Mapping[str, np.ndarray] | None = None,
        batch_size: int = 20,
        shuffle: bool = True,
        seed: int = 0,
        *,
        name_length: int = 24,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.photos = _checked_photos(photos)
        self.name_features = name_features
        self.batch_size = checks.checked_integer("batch_size", batch_size, 1)
        self.shuffle = bool(shuffle)
        self.seed = checks.checked_integer("seed", seed, 0)
        self.epoch = 0
        self._face_shape = checks.common_face_shape(self.photos)
        self._face_slots = max(1, max(len(photo.faces) for photo in self.photos))
        self._name_slots = 1 + max(len(photo.names) for photo in self.photos)
        vocabulary = sorted({name for photo in self.photos for name in photo.names})
        self._row = {name: row for row, name in enumerate([*vocabulary, NONAME], start=1)}
        self._table = _name_table(list(self._row), name_features, name_length)

    def __len__(self) -> int:
        return math.ceil(len(self.photos) / self.batch_size)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        order = np.arange(len(self.photos))
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        return self.read(index, order)

    def read(self, index: int, order: Sequence[int]) -> dict[str, np.ndarray]:
        """Batch number `index` of the photos taken in `order`, a sequence of positions in `photos`."""
        index = range(len(self))[index]
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        faces = np.zeros((self.batch_size, self._face_slots, *self._face_shape), "float32")
        face_mask = np.zeros((self.batch_size, self._face_slots), bool)
        rows = np.zeros((self.batch_size, self._name_slots), int)
        for slot, photo in enumerate(self.photos[position] for position in chosen):
            count = len(photo.faces)
            if count:
                faces[slot, :count] = photo.faces
                face_mask[slot, :count] = True
            rows[slot, : len(photo.names) + 1] = [self._row[name] for name in (*photo.names, NONAME)]
        return {"faces": faces, "face_mask": face_mask, "names": self._table[rows], "name_mask": rows > 0}

    def on_epoch_end(self) -> None:
        self.epoch += 1


def byte_ids(names: Sequence[str], length: int = 24) -> np.ndarray:
    """Names as `(names, length)` int32: UTF-8 bytes plus one, 0 for padding; `NONAME` is the single id 257.

    Names longer than `length` bytes are cut.
    """
    if isinstance(names, str):
        raise TypeError(f"names must be a sequence of strings, got the string {names!r}; use [{names!r}].")
    length = checks.checked_integer("length", length, 1)
    ids = np.zeros((len(names), length), "int32")
    for row, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"names[{row}] must be a string, got {type(name).__name__}.")
        if name == NONAME:
            ids[row, 0] = NONAME_ID
            continue
        code = np.frombuffer(name.encode("utf-8", "replace")[:length], "uint8")
        ids[row, : len(code)] = code.astype("int32") + 1
    return ids


def split_photos(
    photos: Sequence[CaptionedPhoto], fraction: float, seed: int = 0
) -> tuple[list[CaptionedPhoto], list[CaptionedPhoto]]:
    """Splits photos at random into `(fitted, held_out)`, disjoint, each in the given order.

    Args:
        photos: at least two photos.
        fraction: the share that is held out, above 0 and below 1; both sides get at least one photo.
        seed: non-negative integer; the same seed gives the same split.
    """
    photos = _checked_photos(photos)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}; 0.2 holds out a fifth.")
    if len(photos) < 2:
        raise ValueError("photos must hold at least two photos to be split, got one.")
    count = min(max(1, round(fraction * len(photos))), len(photos) - 1)
    generator = np.random.default_rng(checks.checked_integer("seed", seed, 0))
    held_out = set(generator.permutation(len(photos))[:count].tolist())
    return (
        [photo for index, photo in enumerate(photos) if index not in held_out],
        [photo for index, photo in enumerate(photos) if index in held_out],
    )


def _checked_photos(photos: Sequence[CaptionedPhoto]) -> list[CaptionedPhoto]:
    """A non-empty list of `CaptionedPhoto`."""
    if isinstance(photos, CaptionedPhoto) or not isinstance(photos, Sequence):
        raise TypeError(f"photos must be a list of CaptionedPhoto, got {type(photos).__name__}.")
    for index, photo in enumerate(photos):
        if not isinstance(photo, CaptionedPhoto):
            raise TypeError(f"photos[{index}] must be a CaptionedPhoto, got {type(photo).__name__}.")
    if not photos:
        raise ValueError("photos must hold at least one photo, got none.")
    return list(photos)


def _name_table(
    names: Sequence[str], name_features: Mapping[str, np.ndarray] | None, length: int
) -> np.ndarray:
    """What stands for each name, `(1 + names, ...)`; row 0 is padding, the last name is `NONAME`."""
    if name_features is not None:
        table = checks.stacked_features(names, name_features)
    else:
        table = byte_ids(names, length)
        if len(np.unique(table, axis=0)) < len(names):
            logger.warning("Names that agree in their first %d bytes look alike; raise name_length.", length)
    return np.concatenate([np.zeros_like(table[:1]), table])
