"""The signs of a made-up sign language, drawn once: how each looks, and which ones are easily confused."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from applications.sign_translation.grammar import GLOSSES

__all__ = ["MOVEMENTS", "PLACES", "REST_PLACE", "REST_SHAPE", "SHAPES", "Sign", "lexicon", "minimal_pairs"]

_SEED = 20230714

# Three fingers of a hand: how far each is stretched, from 0 to 1, and its angle to the forearm in radians.
SHAPES = MappingProxyType(
    {
        "fist": ((0, 0, 0), (-0.5, 0, 0.5)),
        "point": ((0, 1, 0), (-0.5, 0, 0.5)),
        "thumb": ((1, 0, 0), (-1.5, 0, 0.5)),
        "fork": ((1, 0, 1), (-0.55, 0, 0.55)),
        "pair": ((1, 1, 0), (-0.12, 0.12, 0.5)),
        "corner": ((1, 1, 0), (-1.5, 0, 0.5)),
        "horns": ((1, 0, 1), (-1.2, 0, 1.2)),
        "flat": ((1, 1, 1), (-0.2, 0, 0.2)),
        "star": ((1, 1, 1), (-0.95, 0, 0.95)),
        "claw": ((0.55, 0.55, 0.55), (-0.7, 0, 0.7)),
    }
)
REST_SHAPE = ((0.3, 0.3, 0.3), (-0.15, 0, 0.15))

# Of the signing hand of a right-handed signer, who stands at (0, 0), x to the right and y down, the edges of
# the picture at -1 and 1.
PLACES = MappingProxyType(
    {
        "forehead": (-0.12, -0.72),
        "cheek": (-0.26, -0.42),
        "high": (-0.62, -0.5),
        "shoulder": (-0.34, -0.08),
        "side": (-0.68, 0.02),
        "chest": (-0.12, 0.12),
        "across": (0.3, -0.02),
        "belly": (-0.16, 0.46),
        "low": (-0.6, 0.48),
    }
)
REST_PLACE = (-0.3, 0.74)

MOVEMENTS = ("straight", "arc", "wave")
_PARAMETERS = ("shape", "start", "end", "movement", "two_hands")


@dataclass(frozen=True)
class Sign:
    """How a sign is made.

    Args:
        shape: of the hand, one of `SHAPES`.
        start: where it begins, one of `PLACES`.
        end: where it ends, another one of `PLACES`.
        movement: between them, one of `MOVEMENTS`.
        two_hands: whether the other hand mirrors the signing one.
    """

    shape: str
    start: str
    end: str
    movement: str
    two_hands: bool


@functools.cache
def lexicon() -> MappingProxyType[str, Sign]:
    """The sign of each of `GLOSSES`, always the same; every third one is another one but for a parameter."""
    generator = np.random.default_rng(_SEED)
    signs: list[Sign] = []
    for index in range(len(GLOSSES)):
        sign = None
        while sign is None or sign in signs or sign.start == sign.end:
            sign = _changed(signs[-1], generator) if index % 3 == 2 else _drawn(generator)
        signs.append(sign)
    order = generator.permutation(len(GLOSSES))
    return MappingProxyType({GLOSSES[place]: signs[index] for index, place in enumerate(order)})


def minimal_pairs() -> list[tuple[str, str]]:
    """The pairs of signs that differ in one parameter."""
    signs = list(lexicon().items())
    return [
        (one, other)
        for index, (one, first) in enumerate(signs)
        for other, second in signs[:index]
        if sum(getattr(first, parameter) != getattr(second, parameter) for parameter in _PARAMETERS) == 1
    ]


def _drawn(generator: np.random.Generator) -> Sign:
    values = {parameter: _draw(parameter, generator) for parameter in _PARAMETERS}
    return Sign(**values)


def _changed(sign: Sign, generator: np.random.Generator) -> Sign:
    """A sign that differs in one parameter, or the same one."""
    parameter = _PARAMETERS[generator.integers(len(_PARAMETERS))]
    return replace(sign, **{parameter: _draw(parameter, generator)})


def _draw(parameter: str, generator: np.random.Generator) -> str | bool:
    if parameter == "two_hands":
        return bool(generator.random() < 0.4)
    choices = {"shape": SHAPES, "start": PLACES, "end": PLACES, "movement": MOVEMENTS}[parameter]
    return tuple(choices)[generator.integers(len(choices))]
