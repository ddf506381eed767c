"""Rendered chest radiographs: ragged studies of patients over time, without a download.

It has what makes drafting reports hard: several views, each of which shows what the others hide; visits that
are to be compared; old scars that look like findings; reports in several wordings; and parts of a study that
are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from applications.report_generation.findings import Record, draw_record, next_record
from applications.report_generation.indication import draw_indication
from applications.report_generation.phantom import Anatomy, draw_anatomy, phantom
from applications.report_generation.projection import render
from applications.report_generation.report_grammar import report
from applications.report_generation.study import PriorVisit, Study, View

__all__ = ["SPLITS", "Patient", "RadiographWorld", "StudyTruth", "Visit"]

SPLITS = ("train", "validation", "test")
_VISITS = (0.2, 0.3, 0.3, 0.2)  # of 1, 2, 3, 4 visits
_VIEWS = (0.29, 0.5, 0.21)  # of 1, 2, 3 views
_PA = 0.65  # of frontal views
_BLANK_REPORT = 1 / 3
# streams of random numbers of a patient: what is drawn from one does not move the others
_ANATOMY, _COURSE, _VIEWING, _WORDING, _REASON, _HIDING, _EXPOSURE = range(7)


@dataclass(frozen=True)
class Visit:
    """One visit of a patient, before any radiograph is rendered.

    Args:
        record: what is found.
        positions: of its views, the first one frontal.
        report, facts: what is written of it.
        indication: why it was, or `None`.
        report_kept: whether the next visit knows this report.
    """

    record: Record
    positions: tuple[str, ...]
    report: str
    facts: tuple[str, ...]
    indication: str | None
    report_kept: bool


@dataclass(frozen=True, eq=False)
class Patient:
    """A patient: an id, a body that stays, and one to four visits."""

    id: str
    anatomy: Anatomy
    visits: tuple[Visit, ...]


@dataclass(frozen=True, eq=False)
class StudyTruth:
    """What is known of a rendered study, in `Study.truth`.

    Args:
        record: what there is to find.
        previous: the same of the visit before; `None` on a first visit.
        prior_findings, prior_facts: the report of the visit before, also where the study lacks it.
        anatomy: of the patient.
    """

    record: Record
    previous: Record | None
    prior_findings: str | None
    prior_facts: tuple[str, ...]
    anatomy: Anatomy


class RadiographWorld:
    """Studies of patients whose chests are made of ellipsoids.

    A patient has 1 to 4 visits, a visit 1 to 3 views: a frontal one ("PA" or "AP"), then a lateral one, then
    a second frontal or lateral one. From the second visit on there is a prior visit: its first frontal image,
    and its report in two of three cases. A patient's images, course and words depend on nothing but the seed,
    the split and the patient's number.

    Nodules have radii of 0.13 to 0.17, where half a picture is 1: a linear probe of frontal images, 64 pixels
    wide, hardly finds those of 0.05 to 0.10.

    Args:
        seed: non-negative integer.
        size: height and width of the images in pixels.

    Raises:
        ValueError: if seed is negative or size below 1.

    Example:

    >>> studies = RadiographWorld(seed=0).studies(2, "test")
    >>> studies[0].views[0].image.shape, studies[0].patient, studies[-1].patient
    ((64, 64), 'test-00000', 'test-00001')
    """

    def __init__(self, seed: int = 0, size: int = 64) -> None:
        if seed < 0 or size < 1:
            raise ValueError(f"seed must be at least 0 and size at least 1, got {seed} and {size}.")
        self.seed, self.size = seed, size

    def patients(self, count: int, split: str = "train") -> list[Patient]:
        """The first `count` patients of a split.

        Args:
            count: at least 1.
            split: "train", "validation" or "test".

        Raises:
            ValueError: if `count` is below 1 or the split is not known.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}.")
        return [self._patient(split, number) for number in range(count)]

    def studies(self, count: int, split: str = "train") -> list[Study]:
        """All visits of the first `count` patients of a split, visits of a patient in their order.

        Args:
            count: of patients, at least 1.
            split: "train", "validation" or "test".

        Returns:
            Studies whose views are uint8 images `(size, size)`, and whose truth is a `StudyTruth`.

        Raises:
            ValueError: as for `patients`.
        """
        patients = self.patients(count, split)
        chests, positions, generators, keys = [], [], [], []
        for number, patient in enumerate(patients):
            exposures = self._generator(split, number, _EXPOSURE)
            for index, visit in enumerate(patient.visits):
                chest = phantom(patient.anatomy, visit.record)
                for place, (position, generator) in enumerate(
                    zip(visit.positions, exposures.spawn(len(visit.positions)), strict=True)
                ):
                    chests.append(chest)
                    positions.append(position)
                    generators.append(generator)
                    keys.append(f"rendered-{self.seed}-{self.size}-{patient.id}-{index}-{place}")
        images = render(np.stack(chests), positions, generators, self.size)
        views = iter(map(View, images, positions, keys))
        return [study for patient in patients for study in _studies(patient, views)]

    def _patient(self, split: str, number: int) -> Patient:
        course = self._generator(split, number, _COURSE)
        viewing, wording, reason, hiding = (
            self._generator(split, number, stream) for stream in (_VIEWING, _WORDING, _REASON, _HIDING)
        )
        anatomy = draw_anatomy(self._generator(split, number, _ANATOMY))
        visits: list[Visit] = []
        for index in range(1 + int(course.choice(len(_VISITS), p=_VISITS))):
            previous = visits[-1].record if index else None
            record = next_record(previous, course) if index else draw_record(course)
            text, facts = report(record, previous, anatomy.wires, wording)
            kept = bool(hiding.random() >= _BLANK_REPORT)
            indication = draw_indication(record, reason)
            visits.append(Visit(record, _draw_positions(viewing), text, facts, indication, kept))
        return Patient(f"{split}-{number:05d}", anatomy, tuple(visits))

    def _generator(self, split: str, number: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, SPLITS.index(split), number, stream))


def _draw_positions(generator: np.random.Generator) -> tuple[str, ...]:
    count = 1 + int(generator.choice(len(_VIEWS), p=_VIEWS))
    frontal, other = ("PA", "AP") if generator.random() < _PA else ("AP", "PA")
    third = other if generator.random() < 0.5 else "LL"
    return (frontal, "LATERAL", third)[:count]


def _studies(patient: Patient, views: Iterator[View]) -> list[Study]:
    """The studies of a patient; takes their views off an iterator."""
    studies: list[Study] = []
    last: Visit | None = None
    for index, visit in enumerate(patient.visits):
        prior = None
        if last is not None:
            seen = studies[-1].views[0]
            prior = PriorVisit(seen, last.report, last.facts) if last.report_kept else PriorVisit(seen)
        studies.append(
            Study(
                id=f"{patient.id}-{index}",
                patient=patient.id,
                views=tuple(next(views) for _ in visit.positions),
                findings=visit.report,
                facts=visit.facts,
                indication=visit.indication,
                prior=prior,
                truth=StudyTruth(
                    record=visit.record,
                    previous=last.record if last is not None else None,
                    prior_findings=last.report if last is not None else None,
                    prior_facts=last.facts if last is not None else (),
                    anatomy=patient.anatomy,
                ),
            )
        )
        last = visit
    return studies
