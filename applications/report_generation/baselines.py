"""Reports that no model is needed for: everything normal, or what was written the last time."""

from __future__ import annotations

import dataclasses
import re

from applications.report_generation.corpus import StudyTruth
from applications.report_generation.findings import Record
from applications.report_generation.report_grammar import report
from applications.report_generation.study import PriorVisit, Study

__all__ = ["all_normal_report", "copy_prior_facts", "copy_prior_text", "with_prior_report"]

_CHANGE = re.compile(r" (new|increased|unchanged|decreased)$")
_GONE = re.compile(r"\b(resolved|removed)$")
_NORMAL = re.compile(r"^(no|clear|normal)\b")


def all_normal_report() -> str:
    """The report of a chest without findings.

    Example:

    >>> all_normal_report().split(". ")[:2]
    ['lungs are clear', 'no pleural effusion or pneumothorax']
    """
    return report(Record())[0]


def copy_prior_text(study: Study) -> str:
    """The report of the visit before as it stands; the normal one if the study has none."""
    given = study.prior.findings if study.prior is not None else None
    return given if given else all_normal_report()


def copy_prior_facts(study: Study) -> str:
    """The facts of the visit before as sentences, all findings "unchanged"; the normal report without facts.

    What had resolved by then is left out, and nothing that is normal is called unchanged.

    Example:

    >>> import numpy as np
    >>> from applications.report_generation.study import View
    >>> prior = PriorVisit(None, "...", ("mild cardiomegaly increased", "nodule resolved", "no pneumothorax"))
    >>> copy_prior_facts(Study("1", "a", (View(np.zeros((4, 4))),), prior=prior))
    'mild cardiomegaly, unchanged. no pneumothorax.'
    """
    facts = study.prior.facts if study.prior is not None else ()
    kept = [fact for fact in facts if not _GONE.search(fact)]
    sentences = [fact if _NORMAL.match(fact) else f"{_CHANGE.sub('', fact)}, unchanged" for fact in kept]
    return " ".join(f"{sentence}." for sentence in sentences) or all_normal_report()


def with_prior_report(study: Study) -> Study:
    """A rendered study with the report of the visit before also where it was left blank.

    Raises:
        ValueError: if the study is not a rendered one.
    """
    if not isinstance(study.truth, StudyTruth):
        raise ValueError(f"study {study.id!r} must be rendered: of others a report left blank is not known.")
    if study.prior is None:
        return study
    prior = PriorVisit(study.prior.view, study.truth.prior_findings, study.truth.prior_facts)
    return dataclasses.replace(study, prior=prior)
