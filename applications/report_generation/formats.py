"""What all kinds of files come to: visits, of which studies with the visit before them are made."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from applications.named_files import in_words
from applications.pictures import listed, relative_name
from applications.report_generation.study import FRONTAL, MAX_COMPANIONS, PriorVisit, Study, View

__all__ = [
    "FactsOf",
    "Visit",
    "check_reports",
    "existing_views",
    "frontal_first",
    "linked_studies",
    "make_study",
    "spaced",
    "visit_order",
    "warn_left_out",
]

FactsOf = Callable[[str], Sequence[str]]
Order = tuple[float, ...]

logger = logging.getLogger("contrast")


@dataclass(frozen=True)
class Visit:
    """A visit as a file tells of it.

    Args:
        patient: whose it is.
        name: of the visit, unique for its patient.
        views: its images; may be none.
        findings: the report, if there is one.
        facts: of the report.
        indication: if there is one.
        order: visits of a patient are in this order; `None`: not known.
    """

    patient: str
    name: str
    views: tuple[View, ...]
    findings: str | None = None
    facts: tuple[str, ...] = ()
    indication: str | None = None
    order: Order | None = None

    @property
    def id(self) -> str:
        return f"{self.patient}/{self.name}"


def linked_studies(visits: Iterable[Visit]) -> list[Study]:
    """Studies of visits, each with the visit of the same patient before it.

    A patient's visits are put in their order; if that is not known, none has a visit before it. The image of
    that visit is its first frontal one, or else its first.

    Args:
        visits: of any patients.

    Returns:
        The studies, patients in the order of their first visit. Visits without an image are left out, and
        listed in a warning; their report still is that of the visit before.

    Raises:
        ValueError: if only some visits of a patient have an order or these differ in kind, or a study holds
            an image twice, that of the visit before included.
    """
    patients: dict[str, list[Visit]] = {}
    for visit in visits:
        patients.setdefault(visit.patient, []).append(visit)
    studies, empty, large = [], [], []
    for patient, own in patients.items():
        kinds = {None if visit.order is None else len(visit.order) for visit in own}
        if len(kinds) > 1:
            raise ValueError(
                f"patient {patient!r}: all visits must have a number or all a date, or none any."
            )
        own = sorted(own, key=lambda visit: visit.order or ())
        before = [None] * len(own) if kinds == {None} else [None, *own]
        for visit, last in zip(own, before, strict=False):
            if visit.views:
                prior = None if last is None else _prior(last)
                studies.append(make_study(visit, prior, large))
            else:
                empty.append(visit.id)
    warn_left_out({"studies without an image": empty, "further images of studies": large})
    return studies


def make_study(visit: Visit, prior: PriorVisit | None, large: list[str]) -> Study:
    """A study with as many views as one may have; its name is put into `large` if some are left out."""
    most = MAX_COMPANIONS + (prior is None or prior.view is None)
    if len(visit.views) > most:
        large.append(f"{visit.id} ({len(visit.views) - most})")
    return Study(
        visit.id,
        visit.patient,
        visit.views[:most],
        visit.findings,
        visit.facts,
        visit.indication,
        prior,
    )


def _prior(visit: Visit) -> PriorVisit | None:
    views = frontal_first(visit.views)
    if not views and not visit.findings:
        return None
    return PriorVisit(views[0] if views else None, visit.findings, visit.facts)


def frontal_first(views: Iterable[View]) -> tuple[View, ...]:
    """The views, frontal ones before the others."""
    return tuple(sorted(views, key=lambda view: view.position not in FRONTAL))


def existing_views(
    folder: Path, files: Iterable[tuple[str, str | None]], place: str, missing: list[str]
) -> tuple[View, ...]:
    """Views of files in a folder; those that are not there are put into `missing`.

    Args:
        folder: what paths are relative to.
        files: path and position of each.
        place: what messages call the entry.
        missing: names of files.

    Raises:
        ValueError: if a path leads out of the folder.
    """
    views = []
    for name, position in files:
        try:
            file = folder / relative_name(name)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if file.is_file():
            views.append(View(file, position))
        else:
            missing.append(name)
    return tuple(views)


def visit_order(text: str, place: str) -> Order | None:
    """A number or a date, such as 2 or 2024-05-31, as what visits are ordered by; `None` of nothing.

    Raises:
        ValueError: if it is neither.
    """
    text = text.strip()
    if not text:
        return None
    try:
        return (float(text),)
    except ValueError:
        pass
    try:
        date = datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise ValueError(
            f"{place}: the order must be a number or a date such as 2024-05-31, got {text!r}."
        ) from None
    return (float(date.toordinal()), date.hour * 3600.0 + date.minute * 60 + date.second)


def spaced(text: str | None) -> str | None:
    """`text` with single spaces, `None` if nothing is left."""
    return " ".join((text or "").split()) or None


def warn_left_out(names: dict[str, list[str]]) -> None:
    """One warning of what was left out, if anything was.

    Args:
        names: by what they are.
    """
    left_out = in_words(names)
    if left_out:
        logger.warning("Left out: %s.", left_out)


def check_reports(studies: Sequence[Study]) -> None:
    """Raises a ValueError that names the studies without a report or its facts: none can train a model."""
    for what, part in (("a report", "findings"), ("facts", "facts")):
        empty = [study.id for study in studies if not "".join(getattr(study, part) or "").strip()]
        if empty:
            raise ValueError(
                f"studies to train on must have {what}; {len(empty)} of {len(studies)} have none: "
                f"{listed(empty)}."
            )
