"""Why a radiograph was asked for: symptoms that hint at findings, though not surely."""

from __future__ import annotations

import numpy as np

from applications.report_generation.findings import Record

__all__ = ["draw_indication"]

BLANK = 0.42
_NO_REASON = 0.1  # a symptom without its finding
# symptom, findings that cause it, how often each time one of them is there
_CAUSES = (
    ("fever", ("left consolidation", "right consolidation"), 0.7),
    ("dyspnea", ("left pleural effusion", "right pleural effusion", "cardiomegaly"), 0.6),
    ("chest pain", ("pneumothorax",), 0.6),
    ("weight loss", ("nodule",), 0.4),
    ("line placement", ("device",), 0.6),
)
_OTHER = ("cough", "routine follow up", "preoperative evaluation", "trauma")
_FORMS = ("{}", "patient with {}", "{}, evaluate for acute process")


def draw_indication(record: Record, generator: np.random.Generator) -> str | None:
    """The indication of a visit, or `None` with probability 0.42.

    Args:
        record: what is found at the visit.
        generator: draws symptoms and the wording.

    Returns:
        A phrase in lower case with two symptoms at most, such as "patient with fever and dyspnea".

    Example:

    >>> draw_indication(Record(), np.random.default_rng(1))
    'routine follow up, evaluate for acute process'
    """
    blank = generator.random() < BLANK
    chances = [often if record.has(*causes) else _NO_REASON for _, causes, often in _CAUSES]
    felt = generator.random(len(_CAUSES)) < chances
    symptoms = [symptom for (symptom, *_), there in zip(_CAUSES, felt, strict=True) if there]
    symptoms = [str(one) for one in generator.permutation(symptoms)[:2]]
    other = _OTHER[generator.integers(len(_OTHER))]
    form = _FORMS[generator.integers(len(_FORMS))]
    return None if blank else form.format(" and ".join(symptoms or [other]))
