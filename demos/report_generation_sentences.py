"""Reports sentence by sentence: what is right, missed or not there, as the rules read it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from applications.report_generation.findings import FINDINGS
from applications.report_generation.labeller import Mention, labels, mentions, progression, triples
from demos.words import counted

RIGHT, PARTLY, WRONG, MISSED, LEFT_OUT, UNREAD = "right", "partly", "wrong", "missed", "left-out", "unread"
WORDS = {
    RIGHT: "✓ right",
    PARTLY: "≈ right in part",
    WRONG: "✗ wrong",
    MISSED: "✗ missed",
    LEFT_OUT: "· not written",
    UNREAD: "? not understood by the rules",
}
_ORDER = (RIGHT, PARTLY, MISSED, WRONG)  # the last one of a sentence counts
_DETAILS = {"severity": "size", "change": "change", "side": "side", "height": "height", "depth": "depth"}
_SIZES = {1: "small or mild", 2: "moderate", 3: "large or severe"}
_NONE = Mention(0)


@dataclass(frozen=True)
class Judged:
    """A sentence, one of `WORDS`, and what is to be said of it."""

    sentence: str
    kind: str
    remark: str = ""


def sentences(text: str) -> list[str]:
    """The sentences of a report, each with its full stop.

    Example:

    >>> sentences("lungs are clear. no pneumothorax.")
    ['lungs are clear.', 'no pneumothorax.']
    """
    return [part.strip() for part in re.findall(r"[^.;]+[.;]?", text) if part.strip(" .;")]


def judge_written(text: str, truth: str) -> list[Judged]:
    """Each sentence of a report that was written, against the true one.

    Example:

    >>> [one.kind for one in judge_written("mild cardiomegaly. small nodule.", "moderate cardiomegaly.")]
    ['partly', 'wrong']
    """
    true, known = mentions(truth), triples(truth)

    def of(name, ours):
        theirs = true.get(name, _NONE)
        if _there(ours) != _there(theirs):
            return WRONG, "is there" if _there(theirs) else "is not there"
        other = _differences(ours, theirs)
        return (PARTLY, f"true {', '.join(other)}") if other else (RIGHT, "")

    return [_judged(sentence, of, known, WRONG, "not so in the true report") for sentence in sentences(text)]


def judge_true(truth: str, text: str) -> list[Judged]:
    """Each sentence of the true report: whether what it says was written.

    Example:

    >>> [one.kind for one in judge_true("mild cardiomegaly. small nodule.", "moderate cardiomegaly.")]
    ['partly', 'missed']
    """
    written, known = mentions(text), triples(text)

    def of(name, ours):
        theirs = written.get(name, _NONE)
        if _there(ours) and not _there(theirs):
            return MISSED, ""
        if _there(theirs) and not _there(ours):
            return WRONG, "written as if it were there"
        other = _differences(theirs, ours)
        names = ", ".join(detail.partition(":")[0] for detail in other)
        return (PARTLY, f"written otherwise: {names}") if other else (RIGHT, "")

    return [_judged(sentence, of, known, LEFT_OUT, "") for sentence in sentences(truth)]


def new_in(text: str, other: str) -> list[str]:
    """The sentences of a report that say something that another report does not say.

    Example:

    >>> new_in("heart size is normal. small nodule.", "normal heart size. no nodule.")
    ['small nodule.']
    """
    said, known = mentions(other), triples(other)

    def is_new(sentence):
        found = mentions(sentence)
        if found:
            return any(said.get(name) != mention for name, mention in found.items())
        told = triples(sentence)
        return not told or not told <= known

    return [one for one in sentences(text) if is_new(one) and one not in sentences(other)]


def summary(text: str, truth: str) -> str:
    """One line: how many findings are right, missed, or not there, and how many changes are right.

    Example:

    >>> summary("mild cardiomegaly. small nodule.", "moderate cardiomegaly, unchanged.")
    '1 of 1 finding named, 1 named that is not there. 0 of 1 change since the last visit right.'
    """
    found, right = labels(text)[: len(FINDINGS)], labels(truth)[: len(FINDINGS)]
    named, there, extra = int((found & right).sum()), int(right.sum()), int((found > right).sum())
    told, true = progression(text), progression(truth)
    parts = [
        f"{named} of {counted(there, 'finding')} named" if there else "There is no finding",
        f", {extra} named that {'is' if extra == 1 else 'are'} not there." if extra else ", none is made up.",
    ]
    if true:
        both = len(told.items() & true.items())
        parts.append(f" {both} of {counted(len(true), 'change')} since the last visit right.")
    return "".join(parts)


def _judged(sentence, of, known, kind_of_unknown, remark_of_unknown) -> Judged:
    found = {name: of(name, mention) for name, mention in mentions(sentence).items()}
    if not found:
        said = triples(sentence)
        if not said:
            return Judged(sentence, UNREAD)
        return (
            Judged(sentence, RIGHT) if said <= known else Judged(sentence, kind_of_unknown, remark_of_unknown)
        )
    kind = max((kind for kind, _ in found.values()), key=_ORDER.index)
    remarks = [
        f"{name} {remark}" if remark.startswith("is ") else f"{name}: {remark}" if len(found) > 1 else remark
        for name, (own, remark) in found.items()
        if own == kind and remark
    ]
    return Judged(sentence, kind, "; ".join(remarks))


def _there(mention: Mention) -> bool:
    return mention.severity != 0


def _differences(ours: Mention, theirs: Mention) -> list[str]:
    """What `theirs` says otherwise."""
    found = []
    for field, name in _DETAILS.items():
        one, other = getattr(ours, field), getattr(theirs, field)
        if one != other and (field == "change" or _there(theirs)):
            value = _SIZES.get(other) if field == "severity" else other
            found.append(f"{name}: {value or 'not stated'}")
    return found
