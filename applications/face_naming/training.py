"""What a training from the command line starts from, whichever the model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from applications.face_naming.callbacks import NamingAccuracy
from applications.face_naming.corpus import DigitWorld
from applications.face_naming.folder import load_folder
from applications.face_naming.formats import CaptionedPhoto


class TrainingPhotos(NamedTuple):
    """Photos to train on, held-out ones (maybe none), vectors of the names or `None`, and how many epochs."""

    photos: Sequence[CaptionedPhoto]
    held_out: Sequence[CaptionedPhoto]
    name_features: Mapping[str, np.ndarray] | None
    epochs: int

    def accuracies(self) -> list[NamingAccuracy]:
        """Callbacks that add the face accuracy where the truth is known."""
        return [
            NamingAccuracy(some, self.name_features, name)
            for name, some in (("face_accuracy", self.photos), ("val_face_accuracy", self.held_out))
            if some and all(photo.truth is not None for photo in some)
        ]


def training_photos(data: Path | None, seed: int, epochs: int | None) -> TrainingPhotos:
    """The photos of a folder for `load_folder`, or the built-in photos of handwritten digits.

    Args:
        data: the folder, or `None`.
        seed: moves the built-in photos.
        epochs: `None`: 12 on the built-in photos, 20 on a folder.
    """
    if data is None:
        world = DigitWorld(seed)
        return TrainingPhotos(world.photos(1500), world.photos(300, "test"), None, epochs or 12)
    photos, name_features = load_folder(data)
    return TrainingPhotos(photos, (), name_features, epochs or 20)
