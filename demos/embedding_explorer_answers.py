"""What the embedding explorer says of a digit: its neighbours, and how many of them are of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demos.embedding_explorer_model import SCORES, SPACES, Explorer

MOST_NEIGHBOURS = 30


@dataclass(frozen=True, eq=False)
class Found:
    """The nearest shown digits of something, the nearest first.

    Args:
        places: which of the shown digits.
        distances: 1 - cosine of each.
    """

    places: np.ndarray
    distances: np.ndarray


def neighbours(explorer: Explorer, space: str, place: int, k: int) -> Found:
    """The k nearest of a shown digit, itself left out."""
    return neighbours_of_all(explorer, space, k, np.array([place]))[0]


def neighbours_of_all(explorer: Explorer, space: str, k: int, places: np.ndarray) -> list[Found]:
    """The same for several shown digits."""
    seen = explorer.spaces[space]
    found = seen.neighbors.search(seen.embeddings[places], k + 1)
    answers = []
    for place, ids, similarities in zip(places, found.ids, found.similarities, strict=True):
        others = np.flatnonzero(ids != place)[:k]  # of equal pictures the digit need not come first
        answers.append(Found(ids[others], 1 - similarities[others]))
    return answers


def agreement(explorer: Explorer, space: str, k: int) -> np.ndarray:
    """For each shown digit the share of its k nearest that are the same digit."""
    labels = explorer.digits.labels
    found = neighbours_of_all(explorer, space, k, np.arange(len(labels)))
    return np.array(
        [(labels[each.places] == label).mean() for each, label in zip(found, labels, strict=True)]
    )


def nearest_of_own(explorer: Explorer, space: str, images: np.ndarray, k: int) -> list[Found]:
    """The nearest shown digits of pictures `(count, 28, 28, 1)` that a visitor sent."""
    found = explorer.spaces[space].neighbors.search(explorer.embed(images)[space], k)
    return [Found(*each) for each in zip(found.ids, 1 - found.similarities, strict=True)]


def usual_distance(explorer: Explorer, space: str) -> float:
    """The distance that 95 % of the shown digits stay below to their nearest one."""
    found = neighbours_of_all(explorer, space, 1, np.arange(len(explorer.digits.labels)))
    return float(np.quantile([each.distances[0] for each in found], 0.95))


def sentence(explorer: Explorer, space: str, place: int, found: Found) -> str:
    """What the neighbours of a digit say of it, in Markdown."""
    labels, count = explorer.digits.labels, len(found.places)
    label = labels[place]
    same = int((labels[found.places] == label).sum())
    if same == count:
        verdict = "its only neighbour is" if count == 1 else f"all of its {count} nearest are"
        return f"**This is a {label}**: in the space of {space} {verdict} a {label}, too."
    others = labels[found.places][labels[found.places] != label]
    named = ", ".join(f"{name} ({(others == name).sum()})" for name in dict.fromkeys(others.tolist()))
    of = f"{same} of its {count} nearest are"
    return f"**This is a {label}**: in the space of {space} {of}; the others: {named}."


def comparison(explorer: Explorer) -> list[list[str]]:
    """The rows of the table: one for each space, with its scores."""
    return [[space, *(f"{explorer.spaces[space].scores[score]:.1%}" for score in SCORES)] for space in SPACES]


def plain(explorer: Explorer) -> str:
    """The comparison for a terminal."""
    lines = [f"{'':16}" + "".join(f"{score:>20}" for score in SCORES)]
    lines += [f"{row[0]:16}" + "".join(f"{value:>20}" for value in row[1:]) for row in comparison(explorer)]
    return "\n".join(lines)


def checked_place(explorer: Explorer, value) -> int | None:
    """The number of a shown digit that a browser sent; `None` if it is none."""
    count = len(explorer.digits.labels)
    is_place = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count
    return value if is_place else None


def own_sentence(explorer: Explorer, space: str, found: Found) -> str:
    """What the neighbours of a visitor's picture say of it."""
    names: Sequence[int] = explorer.digits.labels[found.places].tolist()
    most = max(dict.fromkeys(names), key=names.count)
    said = f"Most like a {most}: {names.count(most)} of its {len(names)} nearest are."
    usual = usual_distance(explorer, space)
    if found.distances[0] > usual:
        said += (
            f" But even the nearest is at {found.distances[0]:.2f}, farther than digits usually are "
            f"({usual:.2f}): it may be no digit, or drawn in another way."
        )
    return said
