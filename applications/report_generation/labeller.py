"""Reads reports by rules: which findings they state, how these changed, and what is said of what.

The rules know the words of `applications.report_generation.report_grammar` and make no error on its reports.
They read any text, sentence by sentence, so that the reports of a model can be scored; of real reports they
understand only what is said in these words.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import numpy as np

from applications.report_generation.findings import DEPTHS, FINDINGS, SIDES

__all__ = ["Mention", "labels", "mentions", "progression", "triples"]


class Mention(NamedTuple):
    """What a text says of one finding.

    Args:
        severity: 0 if it is said not to be there, 1 to 3, or `None` if it is there and no size is given.
        change: one of `findings.CHANGES`, or `None` if none is stated.
        side, height, depth: where, or `None` if that is not stated.
    """

    severity: int | None
    change: str | None = None
    side: str | None = None
    height: str | None = None
    depth: str | None = None


_NOUNS = {
    "cardiomegaly": r"cardiomegaly|enlarged|enlargement",
    "pleural effusion": r"effusions?",
    "consolidation": r"consolidations?|opacity|opacities|airspace disease",
    "nodule": r"nodules?|nodular",
    "atelectasis": r"atelectasis|collapse",
    "pneumothorax": r"pneumothorax",
    "device": r"ports?|catheter|device",
}
_SAID_SIZES = ("small", "moderate", "large")
_SIZE_WORDS = (
    ("mild", "mildly", "small", "patchy"),
    ("moderate", "moderately", "medium"),
    ("severe", "severely", "large", "dense", "marked"),
)
_CHANGE_WORDS = {
    "gone": r"resolved|resolution|removed|removal|no longer",
    "new": r"new|not seen before",
    "worse": r"worse|worsened|increased|greater|larger",
    "better": r"better|improved|decreased|less|smaller",
    "same": r"unchanged|stable|similar",
}
_NEGATION = re.compile(r"\b(no(?! longer)|neither|nor|without)\b")
_PLACES = {"side": SIDES, "height": ("upper", "mid", "lower"), "depth": DEPTHS}
# what is said of normal organs: rule, and its triples
_NORMAL = (
    (r"\blungs\b.*\bclear\b|\bclear lungs\b", {("lungs", "ANAT-DP", False), ("clear", "OBS-DP", True)}),
    (
        r"\b(heart|cardiac silhouette)\b.*\bnormal\b|\bnormal heart\b",
        {("heart", "ANAT-DP", False), ("size", "ANAT-DP", True), ("normal", "OBS-DP", True)},
    ),
    (
        r"\bno (acute )?osseous abnormality|\bbones? .*\bunremarkable|\bbony structures .*\bintact",
        {("osseous", "ANAT-DP", False), ("abnormality", "OBS-DA", True)},
    ),
    (r"\bsternotomy\b", {("sternotomy", "OBS-DP", False)}),
)
_RULES = {noun: re.compile(rf"\b({words})\b") for noun, words in _NOUNS.items()}
_CHANGE_RULES = {change: re.compile(rf"\b({words})\b") for change, words in _CHANGE_WORDS.items()}
_NORMAL_RULES = tuple((re.compile(rule), said) for rule, said in _NORMAL)
_ANATOMY = {
    "cardiomegaly": (),
    "pleural effusion": ("pleural",),
    "consolidation": ("lung",),
    "nodule": ("lung",),
    "atelectasis": ("base",),
    "pneumothorax": (),
    "device": (),
}
_SAID_CHANGE = {"gone": "resolved", "new": "new", "worse": "increased", "better": "decreased"}
_SAID_CHANGE["same"] = "unchanged"


def mentions(text: str) -> dict[str, Mention]:
    """What a text says of each finding that it speaks of.

    Of several sentences on one finding the first that says it is there counts, else the first that says it
    is gone, else the first. "bilateral" is both sides; an effusion or a consolidation that is there on no
    stated side counts for neither.

    Example:

    >>> mentions("small left pleural effusion, increased from prior. no pneumothorax.")
    {'left pleural effusion': Mention(severity=1, change='worse', side='left', height=None, depth=None), \
'pneumothorax': Mention(severity=0, change=None, side=None, height=None, depth=None)}
    """
    found: dict[str, Mention] = {}
    for noun, mention in _read(text):
        for name in _names(noun, mention):
            if name not in found or _weight(mention) > _weight(found[name]):
                found[name] = mention._replace(side=name.split()[0]) if name != noun else mention
    return {name: found[name] for name in FINDINGS if name in found}


def labels(text: str) -> np.ndarray:
    """0 or 1 for each of `findings.LABELS`: which findings a text says are there.

    "no finding" is 1 if nothing but a device is there, and the text says so much as one thing that the rules
    know; it is 0 for an empty text.

    Example:

    >>> labels("the lungs are clear. mild cardiomegaly.")
    array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    """
    found = mentions(text)
    present = [int(name in found and found[name].severity != 0) for name in FINDINGS]
    known = bool(triples(text))
    return np.array([*present, int(known and not any(present[:-1]))])


def progression(text: str) -> dict[str, str]:
    """How findings changed, of those of which a text states it: one of `findings.CHANGES` each.

    Example:

    >>> progression("the heart is mildly enlarged, which is stable. left pneumothorax has resolved.")
    {'cardiomegaly': 'same', 'pneumothorax': 'gone'}
    """
    return {name: mention.change for name, mention in mentions(text).items() if mention.change}


def triples(text: str) -> set[tuple[str, str, bool]]:
    """What a text says as entities in the manner of RadGraph.

    Args:
        text: any.

    Returns:
        `(entity, label, relation)`: a word, the same one for all wordings; "ANAT-DP" for places, "OBS-DP"
        for what is there and "OBS-DA" for what is not; whether it points at another entity.

    Example:

    >>> sorted(triples("there is no pneumothorax. a small left sided effusion is seen."))
    [('effusion', 'OBS-DP', True), ('left', 'ANAT-DP', True), ('pleural', 'ANAT-DP', False), \
('pneumothorax', 'OBS-DA', False), ('small', 'OBS-DP', True)]
    """
    said: set[tuple[str, str, bool]] = set()
    for noun, mention in _read(text):
        places = [(place, "ANAT-DP", True) for place in mention[2:] if place]
        anatomy = [(place, "ANAT-DP", False) for place in _ANATOMY[noun]]
        absent = mention.severity == 0
        entity = noun.split()[-1]
        said |= {(entity, "OBS-DA" if absent else "OBS-DP", bool(places or anatomy)), *places, *anatomy}
        if mention.severity and noun != "device":
            said.add((_SAID_SIZES[mention.severity - 1], "OBS-DP", True))
        if mention.change:
            said.add((_SAID_CHANGE[mention.change], "OBS-DP", True))
    for sentence in _sentences(text):
        for rule, entities in _NORMAL_RULES:
            if rule.search(sentence):
                said |= entities
    return said


def _sentences(text: str) -> list[str]:
    return [" ".join(sentence.split()) for sentence in re.split(r"[.;\n]", text.lower()) if sentence.strip()]


@functools.lru_cache(maxsize=4096)  # one text is asked for its labels, its changes and its triples
def _read(text: str) -> tuple[tuple[str, Mention], ...]:
    """Every finding of every sentence, as its noun and what is said of it."""
    read = []
    for sentence in _sentences(text):
        change = next((name for name, rule in _CHANGE_RULES.items() if rule.search(sentence)), None)
        words = set(re.findall(r"[a-z]+", sentence))
        words |= {word.removesuffix("ly") for word in words}
        size = next((index for index, group in enumerate(_SIZE_WORDS, 1) if words & set(group)), None)
        places = {
            name: next((place for place in known if place in words), None) for name, known in _PLACES.items()
        }
        if "bilateral" in words or set(SIDES) <= words:
            places["side"] = "bilateral"
        for noun, rule in _RULES.items():
            if not rule.search(sentence):
                continue
            if change == "gone":
                read.append((noun, Mention(0, "gone", **places)))
            elif _NEGATION.search(sentence):
                read.append((noun, Mention(0)))
            else:
                read.append((noun, Mention(1 if noun == "device" else size, change, **places)))
    return tuple(read)


def _names(noun: str, mention: Mention) -> tuple[str, ...]:
    """The findings that a noun stands for."""
    if noun in FINDINGS:
        return (noun,)
    if mention.side in SIDES:
        return (f"{mention.side} {noun}",)
    everywhere = mention.side == "bilateral" or (mention.severity == 0 and mention.change is None)
    return tuple(f"{side} {noun}" for side in SIDES) if everywhere else ()


def _weight(mention: Mention) -> int:
    return 2 if mention.severity != 0 else 1 if mention.change else 0
