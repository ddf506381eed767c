"""What a weather sentence says: records of a day, a place and its weather."""

from __future__ import annotations

import functools
import zlib
from dataclasses import astuple, dataclass

import numpy as np

__all__ = [
    "DAYS",
    "INTENSITIES",
    "MOST_DEGREES",
    "PARTS",
    "PHENOMENA",
    "REGIONS",
    "SPLITS",
    "Record",
    "draw_record",
    "held_out_pairs",
    "split_of",
]

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PARTS = ("morning", "evening", "night")
REGIONS = ("north", "south", "east", "west", "lowlands", "mountains", "valley", "centre")
PHENOMENA = ("rain", "snow", "fog", "wind", "storm", "frost", "hail", "clouds", "thunder", "sunshine")
INTENSITIES = ("light", "heavy")
MOST_DEGREES = 29

SPLITS = ("train", "dev", "test", "held_out")
_DEV, _TEST = 15, 30  # percent of meanings: below the first is dev, from there below the second is test


@dataclass(frozen=True)
class Record:
    """The meaning of one sentence.

    Args:
        day: one of `DAYS`.
        part: of the day, one of `PARTS`, or `None`.
        region: one of `REGIONS`.
        phenomenon: one of `PHENOMENA`.
        intensity: one of `INTENSITIES`, or `None`.
        negated: the phenomenon is not expected.
        degrees: temperature, 0 to 29, or `None`.
    """

    day: str
    part: str | None
    region: str
    phenomenon: str
    intensity: str | None
    negated: bool
    degrees: int | None


def draw_record(generator: np.random.Generator) -> Record:
    """A random record; a temperature with probability 0.6, a negation with 0.15."""

    def one_of(words, none=0.0):
        return None if generator.random() < none else words[generator.integers(len(words))]

    return Record(
        day=one_of(DAYS),
        part=one_of(PARTS, none=0.5),
        region=one_of(REGIONS),
        phenomenon=one_of(PHENOMENA),
        intensity=one_of(INTENSITIES, none=0.4),
        negated=bool(generator.random() < 0.15),
        degrees=None if generator.random() < 0.4 else int(generator.integers(MOST_DEGREES + 1)),
    )


@functools.cache
def held_out_pairs(seed: int) -> frozenset[tuple[str, str]]:
    """One phenomenon for each region, never seen there in training; all are different."""
    generator = np.random.default_rng((seed, 11))
    chosen = generator.choice(len(PHENOMENA), len(REGIONS), replace=False)
    return frozenset(zip(REGIONS, (PHENOMENA[one] for one in chosen), strict=True))


def split_of(record: Record, seed: int) -> str:
    """The split that a meaning belongs to, one of `SPLITS`; "held_out" for the pairs of `held_out_pairs`."""
    if (record.region, record.phenomenon) in held_out_pairs(seed):
        return "held_out"
    percent = zlib.crc32(repr((seed, *astuple(record))).encode()) % 100
    return "dev" if percent < _DEV else "test" if percent < _TEST else "train"
