"""Plausible captions that mention given names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["caption_for"]

_PLACES = (
    "Oslo",
    "Ghent",
    "Porto",
    "Kyoto",
    "Lima",
    "Cork",
    "Turin",
    "Quebec",
    "Dakar",
    "Tallinn",
    "Basel",
    "Hanoi",
)
_NOBODY = (
    "A quiet evening in {place}.",
    "Visitors wait outside the museum in {place}.",
    "The opening of the book fair in {place}.",
)
_SINGLE = (
    "{names} at the opening of the book fair in {place}.",
    "{names} arrives for the meeting in {place}.",
    "In {place}, {names} speaks to the press.",
    "{names} leaves the museum in {place} on Sunday.",
    "A warm welcome for {names} in {place}.",
)
_SEVERAL = (
    "{names} after the meeting in {place}.",
    "{names} wait for the train to {place}.",
    "In {place}, {names} at the opening of the book fair.",
    "{first} greets {rest} at the airport of {place}.",
    "The harbour of {place}: {first} with {rest}.",
    "{first} and guests in {place}; also invited: {rest}.",
)


def caption_for(names: Sequence[str], generator: np.random.Generator) -> str:
    """A sentence that mentions the names in the given order, and a place.

    It does not tell who is shown: a mentioned person may be absent from the photo.
    """
    templates = (_NOBODY, _SINGLE, _SEVERAL)[min(len(names), 2)]
    template = templates[generator.integers(len(templates))]
    place = _PLACES[generator.integers(len(_PLACES))]
    return template.format(
        names=_listed(names), first=_listed(names[:1]), rest=_listed(names[1:]), place=place
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
