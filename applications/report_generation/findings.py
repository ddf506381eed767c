"""What is wrong in a chest at one visit, and how it changes until the next one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "CHANGES",
    "CHEXPERT_CLASSES",
    "CHEXPERT_OF",
    "DEPTHS",
    "FINDINGS",
    "FIVE_CLASSES",
    "LABELS",
    "NO_FINDING",
    "PREVALENCE",
    "SIDES",
    "Finding",
    "Record",
    "changes",
    "chexpert_labels",
    "draw_record",
    "next_record",
]

SIDES = ("left", "right")
DEPTHS = ("anterior", "posterior")
FINDINGS = (
    "cardiomegaly",
    "left pleural effusion",
    "right pleural effusion",
    "left consolidation",
    "right consolidation",
    "nodule",
    "atelectasis",
    "pneumothorax",
    "device",
)
NO_FINDING = "no finding"
LABELS = (*FINDINGS, NO_FINDING)
CHANGES = ("new", "worse", "same", "better", "gone")

CHEXPERT_CLASSES = (
    "enlarged cardiomediastinum",
    "cardiomegaly",
    "lung opacity",
    "lung lesion",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "pleural other",
    "fracture",
    "support devices",
    "no finding",
)
FIVE_CLASSES = ("cardiomegaly", "edema", "consolidation", "atelectasis", "pleural effusion")
CHEXPERT_OF = dict(
    zip(
        LABELS,
        (
            "cardiomegaly",
            *2 * ["pleural effusion"],
            *2 * ["consolidation"],
            "lung lesion",
            "atelectasis",
            "pneumothorax",
            "support devices",
            "no finding",
        ),
        strict=True,
    )
)

PREVALENCE = dict(zip(FINDINGS, (0.3, 0.25, 0.25, 0.22, 0.22, 0.15, 0.2, 0.12, 0.2), strict=True))
_SEVERITIES = (0.5, 0.3, 0.2)  # of 1, 2, 3 where a finding begins
_UP, _DOWN, _ONSET = 0.2, 0.2, 0.1
_HEIGHTS = {"consolidation": ("upper", "mid", "lower"), "nodule": ("upper", "lower")}


@dataclass(frozen=True)
class Finding:
    """One finding at one visit.

    Args:
        severity: 0 if it is not there, else 1 to 3; a device has 1.
        side: "left" or "right" of the patient; `None` of the heart, and of what is not there.
        height: "upper", "mid" or "lower" of a consolidation, "upper" or "lower" of a nodule.
        depth: "anterior" or "posterior" of a consolidation.
    """

    severity: int = 0
    side: str | None = None
    height: str | None = None
    depth: str | None = None


@dataclass(frozen=True)
class Record:
    """All findings of a visit, in the order of `FINDINGS`. It cannot be changed: the next visit has its own.

    Example:

    >>> record = Record(tuple(Finding(2) if name == "cardiomegaly" else Finding() for name in FINDINGS))
    >>> record["cardiomegaly"].severity, record["device"].severity
    (2, 0)
    >>> record.labels()
    array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    """

    findings: tuple[Finding, ...] = (Finding(),) * len(FINDINGS)

    def __getitem__(self, name: str) -> Finding:
        return self.findings[FINDINGS.index(name)]

    def has(self, *names: str) -> bool:
        """Whether any of these findings is there."""
        return any(self[name].severity for name in names)

    def labels(self) -> np.ndarray:
        """0 or 1 for each of `LABELS`; a device alone still is "no finding", as CheXpert has it."""
        present = [int(finding.severity > 0) for finding in self.findings]
        return np.array([*present, int(not self.has(*FINDINGS[:-1]))])


def draw_record(generator: np.random.Generator) -> Record:
    """The findings of a first visit, each with its probability in `PREVALENCE`."""
    return Record(
        tuple(
            _begin(name, generator) if generator.random() < PREVALENCE[name] else Finding()
            for name in FINDINGS
        )
    )


def next_record(record: Record, generator: np.random.Generator) -> Record:
    """The findings of the next visit: every finding is a Markov chain on its severity.

    What is there stays with probability 0.6, and goes one step up or down with 0.2 each; at severity 3 it
    stays with 0.8. What is not there begins with 0.1, at a place drawn anew. A device is removed with 0.2.
    """
    return Record(
        tuple(
            _follow(name, finding, generator) for name, finding in zip(FINDINGS, record.findings, strict=True)
        )
    )


def changes(record: Record, previous: Record | None) -> dict[str, str]:
    """For each finding of this visit or the last the one of `CHANGES` that befell it; none on a first visit.

    Example:

    >>> before = Record(tuple(Finding(2) if name == "nodule" else Finding() for name in FINDINGS))
    >>> changes(Record(), before), changes(before, Record()), changes(Record(), None)
    ({'nodule': 'gone'}, {'nodule': 'new'}, {})
    """
    if previous is None:
        return {}
    found = {}
    for name in FINDINGS:
        now, before = record[name].severity, previous[name].severity
        if now or before:
            found[name] = (
                "new"
                if not before
                else "gone"
                if not now
                else {0: "same", 1: "worse", -1: "better"}[int(np.sign(now - before))]
            )
    return found


def chexpert_labels(labels: np.ndarray) -> np.ndarray:
    """Labels over `LABELS` as labels over the 14 `CHEXPERT_CLASSES`, of which some never occur.

    Args:
        labels: `(..., 10)` of 0 and 1.

    Returns:
        `(..., 14)` of 0 and 1.

    Raises:
        ValueError: if the last axis is not 10 long.

    Example:

    >>> labels = chexpert_labels(np.array([0, 1, 1, 0, 0, 0, 0, 0, 1, 0]))
    >>> [name for name, label in zip(CHEXPERT_CLASSES, labels) if label]
    ['pleural effusion', 'support devices']
    """
    labels = np.asarray(labels)
    if labels.ndim < 1 or labels.shape[-1] != len(LABELS):
        raise ValueError(f"labels must be (..., {len(LABELS)}), got shape {labels.shape}.")
    classes = np.zeros((*labels.shape[:-1], len(CHEXPERT_CLASSES)), labels.dtype)
    for index, name in enumerate(LABELS):
        column = CHEXPERT_CLASSES.index(CHEXPERT_OF[name])
        classes[..., column] = np.maximum(classes[..., column], labels[..., index])
    return classes


def _begin(name: str, generator: np.random.Generator) -> Finding:
    """A finding at its first visit; its place says nothing of its severity, nor of its other places."""
    severity = 1 if name == "device" else int(generator.choice(3, p=_SEVERITIES)) + 1
    side, _, noun = name.rpartition(" ")
    side = side.split()[0] if side else SIDES[generator.integers(2)] if noun != "cardiomegaly" else None
    heights = _HEIGHTS.get(noun)
    return Finding(
        severity,
        side,
        height=heights[generator.integers(len(heights))] if heights else None,
        depth=DEPTHS[generator.integers(2)] if noun == "consolidation" else None,
    )


def _follow(name: str, finding: Finding, generator: np.random.Generator) -> Finding:
    chance = generator.random()
    if not finding.severity:
        return _begin(name, generator) if chance < _ONSET else Finding()
    most = 1 if name == "device" else 3
    step = -1 if chance < _DOWN else 1 if chance >= 1 - _UP else 0
    severity = min(finding.severity + step, most)
    return Finding(severity, finding.side, finding.height, finding.depth) if severity else Finding()
