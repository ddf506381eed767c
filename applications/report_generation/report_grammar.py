"""Reports of a visit: sentences in three wordings each, and the same as facts without function words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from applications.report_generation.findings import SIDES, Finding, Record, changes

__all__ = ["Statement", "report", "statements"]


class Statement(NamedTuple):
    """One thing that a report says.

    Args:
        wordings: the three sentences that say it, without a full stop.
        fact: the same in few words.
    """

    wordings: tuple[str, str, str]
    fact: str


_SIZES = {
    "cardiomegaly": ("mild", "moderate", "severe"),
    "consolidation": ("patchy", "moderate", "dense"),
    "nodule": ("small", "medium", "large"),
    "atelectasis": ("mild", "moderate", "marked"),
    "pleural effusion": ("small", "moderate", "large"),
    "pneumothorax": ("small", "moderate", "large"),
    "device": ("",),
}
# three sentences, then the fact
_PRESENT = {
    "cardiomegaly": (
        "{size} cardiomegaly",
        "the heart is {size}ly enlarged",
        "{size}ly enlarged cardiac silhouette",
        "{size} cardiomegaly",
    ),
    "consolidation": (
        "{size} {depth} consolidation in the {side} {height} lung",
        "{size} {side} {height} lung opacity {depth}ly",
        "{side} {height} lung shows {size} {depth} airspace disease",
        "{size} {depth} consolidation {side} {height} lung",
    ),
    "nodule": (
        "{size} nodule in the {side} {height} lung",
        "{size} {side} {height} lung nodule",
        "{size} nodular density in the {side} {height} lung",
        "{size} nodule {side} {height} lung",
    ),
    "atelectasis": (
        "{size} {side} basilar atelectasis",
        "{size} atelectasis at the {side} base",
        "{size} plate like collapse on the {side}",
        "{size} atelectasis {side} base",
    ),
    "pleural effusion": (
        "{size} {side} pleural effusion",
        "{size} pleural effusion on the {side}",
        "there is a {size} {side} effusion",
        "{size} {side} pleural effusion",
    ),
    "pneumothorax": (
        "{size} {side} pneumothorax",
        "{size} apical pneumothorax on the {side}",
        "there is a {size} {side} pneumothorax",
        "{size} {side} pneumothorax",
    ),
    "device": (
        "{side} chest port in place",
        "port catheter on the {side}",
        "{side} sided port is seen",
        "{side} port catheter",
    ),
}
_CHANGED = {
    "new": (", new", ", new from prior", ", not seen before", " new"),
    "worse": (", increased from prior", ", worse", ", greater than before", " increased"),
    "same": (", unchanged", ", stable", ", similar to prior", " unchanged"),
    "better": (", decreased from prior", ", improved", ", less than before", " decreased"),
}
_NO_CHANGE = ("", "", "", "")
_GONE = (
    "{thing} has resolved",
    "{thing} no longer seen",
    "interval resolution of {thing}",
    "{thing} resolved",
)
_REMOVED = (
    "{side} chest port has been removed",
    "{side} port catheter no longer seen",
    "interval removal of the {side} port",
    "{side} port catheter removed",
)
_LUNGS_CLEAR = ("lungs are clear", "the lungs are clear", "clear lungs bilaterally")
_NO_CONSOLIDATION = ("no focal consolidation", "no consolidation", "no airspace disease")
_NO_EFFUSION = ("no pleural effusion", "there is no pleural effusion", "no effusion")
_NO_PNEUMOTHORAX = ("no pneumothorax", "there is no pneumothorax", "no evidence of pneumothorax")
_PLEURA_CLEAR = (
    "no pleural effusion or pneumothorax",
    "there is no pleural effusion or pneumothorax",
    "no effusion or pneumothorax",
)
_HEART_NORMAL = ("heart size is normal", "the cardiac silhouette is normal", "normal heart size")
_BONES_NORMAL = (
    "no acute osseous abnormality",
    "the bones are unremarkable",
    "bony structures are intact",
)
_WIRES = (
    "sternotomy wires are intact",
    "median sternotomy wires are seen",
    "the patient has had a sternotomy",
)
_LUNG_FINDINGS = ("left consolidation", "right consolidation", "nodule", "atelectasis")
_EFFUSIONS = tuple(f"{side} pleural effusion" for side in SIDES)


def statements(record: Record, previous: Record | None = None, wires: bool = False) -> list[Statement]:
    """What a report says, in its order: devices, lungs, pleura, heart, bones.

    Args:
        record: of this visit.
        previous: of the visit before, to compare with; `None` on a first visit.
        wires: whether sternal wires are to be mentioned.

    Example:

    >>> for statement in statements(Record()):
    ...     print(statement.fact, "|", statement.wordings[0])
    clear lungs | lungs are clear
    no pleural effusion no pneumothorax | no pleural effusion or pneumothorax
    normal heart size | heart size is normal
    no acute osseous abnormality | no acute osseous abnormality
    """
    return [
        *_about(("device",), record, previous),
        *_about(_LUNG_FINDINGS, record, previous),
        *_lungs_without(record),
        *_about((*_EFFUSIONS, "pneumothorax"), record, previous),
        *_pleura_without(record),
        *_about(("cardiomegaly",), record, previous),
        *([] if record.has("cardiomegaly") else [Statement(_HEART_NORMAL, "normal heart size")]),
        Statement(_WIRES, "sternotomy wires")
        if wires
        else Statement(_BONES_NORMAL, "no acute osseous abnormality"),
    ]


def report(
    record: Record,
    previous: Record | None = None,
    wires: bool = False,
    generator: np.random.Generator | None = None,
) -> tuple[str, tuple[str, ...]]:
    """The findings section of a visit in lower case, and its facts.

    Args:
        record, previous, wires: as for `statements`.
        generator: draws the wording of every sentence; `None` takes the first.

    Returns:
        The text, each sentence with a full stop, and one fact for each sentence.

    Example:

    >>> from applications.report_generation.findings import FINDINGS
    >>> before = Record(tuple(Finding(1) if name == "cardiomegaly" else Finding() for name in FINDINGS))
    >>> now = Record(tuple(Finding(2) if name == "cardiomegaly" else Finding() for name in FINDINGS))
    >>> text, facts = report(now, before)
    >>> text.split(". ")[2], facts[2]
    ('moderate cardiomegaly, increased from prior', 'moderate cardiomegaly increased')
    """
    said = statements(record, previous, wires)
    chosen = [0] * len(said) if generator is None else generator.integers(3, size=len(said))
    sentences = [statement.wordings[which] for statement, which in zip(said, chosen, strict=True)]
    return " ".join(f"{sentence}." for sentence in sentences), tuple(statement.fact for statement in said)


def _about(names: tuple[str, ...], record: Record, previous: Record | None) -> list[Statement]:
    """The findings among these that are there, or were there before."""
    befell = changes(record, previous)
    said = []
    for name in names:
        if record[name].severity:
            said.append(_present(name, record[name], befell.get(name)))
        elif name in befell:
            said.append(_gone(name, previous[name]))
    return said


def _present(name: str, finding: Finding, change: str | None) -> Statement:
    noun = _noun(name)
    words = {"size": _SIZES[noun][finding.severity - 1]}
    words |= {"side": finding.side, "height": finding.height, "depth": finding.depth}
    ends = _CHANGED[change] if change else _NO_CHANGE
    *wordings, fact = (form.format(**words) + end for form, end in zip(_PRESENT[noun], ends, strict=True))
    return Statement(tuple(wordings), fact)


def _gone(name: str, before: Finding) -> Statement:
    noun = _noun(name)
    thing = f"{before.side} {noun}" if before.side else noun
    forms = _REMOVED if noun == "device" else _GONE
    *wordings, fact = (form.format(thing=thing, side=before.side) for form in forms)
    return Statement(tuple(wordings), fact)


def _noun(name: str) -> str:
    return name.removeprefix("left ").removeprefix("right ")


def _lungs_without(record: Record) -> list[Statement]:
    if not record.has(*_LUNG_FINDINGS):
        return [Statement(_LUNGS_CLEAR, "clear lungs")]
    if not record.has("left consolidation", "right consolidation"):
        return [Statement(_NO_CONSOLIDATION, "no consolidation")]
    return []


def _pleura_without(record: Record) -> list[Statement]:
    effusion, pneumothorax = record.has(*_EFFUSIONS), record.has("pneumothorax")
    if not effusion and not pneumothorax:
        return [Statement(_PLEURA_CLEAR, "no pleural effusion no pneumothorax")]
    if not effusion:
        return [Statement(_NO_EFFUSION, "no pleural effusion")]
    if not pneumothorax:
        return [Statement(_NO_PNEUMOTHORAX, "no pneumothorax")]
    return []
