"""Sentences and signs of a record: four wordings in words, one order of signs."""

from __future__ import annotations

from applications.sign_translation.meaning import DAYS, INTENSITIES, PARTS, PHENOMENA, REGIONS, Record

__all__ = ["GLOSSES", "NEGATION", "glosses", "wordings"]

NEGATION = "not"
DIGITS = tuple("0123456789")
GLOSSES = (*DAYS, *PARTS, *REGIONS, *PHENOMENA, *INTENSITIES, NEGATION, *DIGITS)

_OTHER_WORD = {"heavy": "strong", "light": "slight"}


def wordings(record: Record) -> tuple[str, ...]:
    """The four sentences that say a record: they differ in order, function words and synonyms.

    Example:

    >>> from applications.sign_translation.meaning import Record
    >>> for sentence in wordings(Record("monday", "night", "north", "fog", "heavy", False, 16)):
    ...     print(sentence)
    on monday night we expect heavy fog in the north with 1 6 degrees
    in the north there will be heavy fog on monday night at 1 6 degrees
    heavy fog is coming to the north on monday night at 1 6 degrees
    for monday night the forecast shows strong fog over the north around 1 6 degrees
    """
    time = _joined(record.day, record.part)
    weather = _joined("no" if record.negated else None, record.intensity, record.phenomenon)
    other = _joined(_OTHER_WORD.get(record.intensity), record.phenomenon)
    shows = "does not show" if record.negated else "shows"
    place = f"the {record.region}"
    degrees = None if record.degrees is None else f"{' '.join(str(record.degrees))} degrees"

    def temperature(preposition):
        return degrees and f"{preposition} {degrees}"

    return (
        _joined(f"on {time} we expect {weather} in {place}", temperature("with")),
        _joined(f"in {place} there will be {weather} on {time}", temperature("at")),
        _joined(f"{weather} is coming to {place} on {time}", temperature("at")),
        _joined(f"for {time} the forecast {shows} {other} over {place}", temperature("around")),
    )


def glosses(record: Record) -> tuple[str, ...]:
    """The signs in the order in which they are made; no model may see them.

    Example:

    >>> from applications.sign_translation.meaning import Record
    >>> glosses(Record("monday", None, "north", "fog", "heavy", True, 16))
    ('monday', 'north', 'fog', 'not', 'heavy', '1', '6')
    """
    digits = () if record.degrees is None else tuple(str(record.degrees))
    negation = NEGATION if record.negated else None
    signs = (record.day, record.part, record.region, record.phenomenon, negation, record.intensity, *digits)
    return tuple(sign for sign in signs if sign is not None)


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)
