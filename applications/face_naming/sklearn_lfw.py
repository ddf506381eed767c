"""Captioned photos composed of real portraits, "Labeled Faces in the Wild" as scikit-learn loads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from applications.face_naming.captions import NONAME
from applications.face_naming.formats import CaptionedPhoto
from applications.face_naming.photo_checks import checked_integer
from applications.face_naming.population import (
    MOST_NAMES,
    STRANGER,
    draw_people,
    in_split,
    split_number,
    zipf,
)
from applications.face_naming.sentences import caption_for

__all__ = ["PortraitWorld"]

_GAP = 8  # pixels between two portraits
_BACKGROUND = 128


class PortraitWorld:
    """People of public life: photos of one to three portraits, with captions that mention one to four names.

    Numbers of faces and names, names without a face and strangers are drawn as for the digit photos. The
    people with the most portraits are mentioned most often; every fifth person is a stranger, who is shown
    and never named. Every fifth portrait of a person is kept for the test split.

    Args:
        seed: non-negative integer that fixes the photos of both splits.
        min_faces_per_person: people with fewer portraits are left out; 20 leaves 62 people.
        data_home: scikit-learn's folder of data sets; `None`: its default. The first start downloads about
            250 MB into it.
        fetch: what loads the portraits, called as `sklearn.datasets.fetch_lfw_people`; `None`: that function.
        **options: further arguments of `fetch`, such as `resize` (default 0.5) and `color`.

    Attributes:
        names: the people who are named, those with the most portraits first.

    Raises:
        ConnectionError: if the portraits are not in `data_home` and cannot be downloaded.
        ValueError: if too few people are left, or portraits are not `(count, height, width)` or
            `(count, height, width, 3)`.
    """

    def __init__(
        self,
        seed: int = 0,
        min_faces_per_person: int = 20,
        data_home: str | Path | None = None,
        fetch: Callable[..., Any] | None = None,
        **options,
    ) -> None:
        self.seed = checked_integer("seed", seed, 0)
        # five portraits a person, so that both splits have one
        least = checked_integer("min_faces_per_person", min_faces_per_person, 5)
        data = _fetched(fetch, data_home, min_faces_per_person=least, **options)
        self._faces = _checked_portraits(data.images)
        of_person = [np.flatnonzero(data.target == person) for person in range(len(data.target_names))]
        ranked = sorted(range(len(of_person)), key=lambda person: -len(of_person[person]))
        ranked = [person for person in ranked if len(of_person[person]) >= least]
        named = [person for rank, person in enumerate(ranked) if rank % 5 != 4]
        self._strangers = [of_person[person] for person in ranked[4::5]]
        self._people = [of_person[person] for person in named]
        self.names = tuple(str(data.target_names[person]) for person in named)
        if len(named) < MOST_NAMES or not self._strangers:
            raise ValueError(
                f"min_faces_per_person={least} leaves {len(ranked)} people, at least {MOST_NAMES + 1} are "
                "needed; lower it."
            )

    def photos(self, count: int = 1500, split: Literal["train", "test"] = "train") -> list[CaptionedPhoto]:
        """The first `count` photos of a split; faces are the portraits in [0, 1], one or three channels.

        Raises:
            ValueError: if `split` is neither "train" nor "test".
        """
        generator = np.random.default_rng((self.seed, split_number(split)))
        return [
            self._photo(generator, split, f"{split}-{number:04d}")
            for number in range(checked_integer("count", count, 1))
        ]

    def _photo(self, generator: np.random.Generator, split: str, key: str) -> CaptionedPhoto:
        mentioned, people = draw_people(generator, zipf(len(self.names)))
        portraits = [
            self._strangers[generator.integers(len(self._strangers))]
            if person == STRANGER
            else self._people[person]
            for person in people
        ]
        chosen = [generator.choice(in_split(portrait, split)) for portrait in portraits]
        names = tuple(self.names[person] for person in mentioned)
        faces = self._faces[chosen]
        image, boxes = _side_by_side(faces)
        return CaptionedPhoto(
            faces=faces,
            names=names,
            caption=caption_for(names, generator),
            image=image,
            boxes=boxes,
            truth=tuple(NONAME if person == STRANGER else self.names[person] for person in people),
            key=key,
        )


def _fetched(fetch: Callable[..., Any] | None, data_home: str | Path | None, **options) -> Any:
    if fetch is None:
        from sklearn.datasets import fetch_lfw_people as fetch
    try:
        return fetch(data_home=data_home, **options)
    except OSError as error:  # URLError among them
        place = "scikit-learn's default data_home" if data_home is None else f"data_home={str(data_home)!r}"
        raise ConnectionError(
            f"Labeled Faces in the Wild is not in {place} and could not be downloaded ({error}). "
            "Connect to the network, or give a data_home that holds it."
        ) from error


def _checked_portraits(images: Any) -> np.ndarray:
    """Portraits as `(count, height, width, channels)` float32 in [0, 1]."""
    images = np.asarray(images, "float32")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"images must be (count, height, width) or (count, height, width, 3), got {images.shape}."
        )
    if images.max() > 1.5:  # some versions of scikit-learn leave 0 to 255
        images = images / 255
    return images.clip(0, 1)


def _side_by_side(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One picture of all faces, `(height, width, 3)` uint8, and their boxes."""
    count, height, width, _ = faces.shape
    image = np.full((height, count * (width + _GAP) - _GAP, 3), _BACKGROUND, "uint8")
    left = np.arange(count) * (width + _GAP)
    for face, start in zip(faces, left.tolist(), strict=True):
        image[:, start : start + width] = np.round(face * 255).astype("uint8")
    top = np.zeros(count)
    return image, np.stack([left, top, left + width, top + height], axis=1).astype("float32")
