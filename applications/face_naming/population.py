"""Drawn people: their faces, and who is in a photo or only mentioned.

How often which happens is as in the augmented "Labeled Faces in the Wild".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "MOST_NAMES",
    "STRANGER",
    "draw_centres",
    "draw_faces",
    "draw_people",
    "in_split",
    "split_number",
    "zipf",
]

_PAIRS = {  # (faces, names) of a photo: how often
    (1, 1): 0.31,
    (1, 2): 0.28,
    (2, 2): 0.11,
    (1, 3): 0.11,
    (2, 3): 0.06,
    (2, 1): 0.05,
    (2, 4): 0.03,
    (3, 3): 0.03,
    (3, 2): 0.02,
}
MOST_NAMES = max(names for _, names in _PAIRS)
STRANGER = -1  # somebody who is shown and not named
_SPLITS = ("train", "test")


def draw_people(generator: np.random.Generator, frequency: np.ndarray) -> tuple[list[int], list[int]]:
    """Draws one photo.

    Args:
        generator: of random numbers.
        frequency: `(people,)` how often each is mentioned, of sum 1; at least `MOST_NAMES` people.

    Returns:
        The people that the caption mentions, shuffled, and the person of each face or `STRANGER`.
    """
    faces, names = list(_PAIRS)[generator.choice(len(_PAIRS), p=list(_PAIRS.values()))]
    mentioned = generator.choice(len(frequency), size=names, replace=False, p=frequency)
    known = 0.97 if faces <= names else 0.85
    free = mentioned.tolist()
    people = [free.pop(0) if free and generator.random() < known else STRANGER for _ in range(faces)]
    return generator.permutation(mentioned).tolist(), people


def zipf(count: int) -> np.ndarray:
    """How often the people of rank 1 to `count` are mentioned: proportional to 1 / rank^0.8, of sum 1."""
    frequency = np.arange(1, count + 1) ** -0.8
    return frequency / frequency.sum()


def draw_centres(generator: np.random.Generator, people: int, width: int) -> np.ndarray:
    """Where people are in face space: `(people, width)` float64 of norm sqrt(width)."""
    centres = generator.standard_normal((people, width))
    return centres * (np.sqrt(width) / np.linalg.norm(centres, axis=1, keepdims=True))


def draw_faces(generator: np.random.Generator, centres: np.ndarray, people: Sequence[int]) -> np.ndarray:
    """A face for each person: the person's centre plus N(0, I), or N(0, 2 I) for a `STRANGER`.

    Args:
        generator: of random numbers.
        centres: `(all people, width)`, as `draw_centres` returns them.
        people: rows of `centres`, or `STRANGER`.

    Returns:
        `(faces, width)` float32.
    """
    faces = generator.standard_normal((len(people), centres.shape[1]))
    for face, person in zip(faces, people, strict=True):
        if person == STRANGER:
            face *= np.sqrt(2)
        else:
            face += centres[person]
    return faces.astype("float32")


def split_number(split: str) -> int:
    """0 for `"train"` and 1 for `"test"`; anything else is a ValueError."""
    if split not in _SPLITS:
        raise ValueError(f'split must be "train" or "test", got {split!r}.')
    return _SPLITS.index(split)


def in_split(pictures: np.ndarray, split: str) -> np.ndarray:
    """The pictures of one person that belong to a split: every fifth to `"test"`, the others to `"train"`."""
    is_test = np.arange(len(pictures)) % 5 == 4
    return pictures[is_test if split == "test" else ~is_test]
