"""Who is in a photo and who is only mentioned, as in the augmented "Labeled Faces in the Wild"."""

from __future__ import annotations

import numpy as np

__all__ = ["MOST_NAMES", "STRANGER", "draw_people", "zipf"]

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
