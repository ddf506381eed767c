"""What is known of a visit: views, the visit before, the indication. Any but one view may be missing."""

import dataclasses
import itertools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

UNKNOWN_VIEW = "UNK"
VIEW_POSITIONS = (UNKNOWN_VIEW, "AP", "PA", "LATERAL", "LL")
FRONTAL = ("PA", "AP")
MAX_COMPANIONS = 4
PARTS = ("views", "prior_image", "prior_report", "indication")


@dataclass(frozen=True)
class View:
    """One image of a study.

    Args:
        image: an array `(height, width)`, bytes or floats in [0, 1], bright bones on dark air; or the path of
            a file, which `applications.report_generation.image_files.load_image` reads.
        position: one of `VIEW_POSITIONS`; others, and `None`, become `"UNK"`.
        key: what tells this image from others; equal keys are the same image. `None`: the path, or the array
            itself.

    Raises:
        ValueError: if an array is empty, has no two axes, or holds NaN or values outside its range.
    """

    image: np.ndarray | str | Path
    position: str = UNKNOWN_VIEW
    key: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "position", view_position(self.position))
        if not isinstance(self.image, str | Path):
            check_image(self.image)
        if self.key is None:
            path = isinstance(self.image, str | Path)
            object.__setattr__(self, "key", str(self.image) if path else _array_key(self.image))


_array_keys: dict[int, str] = {}  # by id, of the arrays that live
_numbers = itertools.count()


def _array_key(array):
    """A name for an array that no later one has, as `id` alone may."""
    if id(array) not in _array_keys:
        _array_keys[id(array)] = f"array {next(_numbers)}"
        weakref.finalize(array, _array_keys.pop, id(array), None)
    return _array_keys[id(array)]


@dataclass(frozen=True)
class PriorVisit:
    """The visit before.

    Args:
        view: its image, or `None`.
        findings: its report, or `None` if there is none.
        facts: its facts as short phrases, such as `"no pleural effusion"`; none if there is no report.
    """

    view: View | None = None
    findings: str | None = None
    facts: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "facts", tuple(self.facts))


@dataclass(frozen=True)
class Study:
    """A visit.

    Args:
        id: of the study, unique among all patients.
        patient: whose it is; splits keep patients apart.
        views: its images, at least one; the first one is the anchor unless another is drawn.
        findings: the report, or `None` where it is to be written.
        facts: the report's facts as short phrases.
        indication: why the images were taken, or `None`.
        prior: the visit before, or `None` on a first visit.
        truth: what is known to be there, of rendered studies.

    Raises:
        ValueError: if there is no view, one image twice, or more than `1 + MAX_COMPANIONS` images with that
            of the prior visit.
    """

    id: str
    patient: str
    views: tuple[View, ...]
    findings: str | None = None
    facts: tuple[str, ...] = ()
    indication: str | None = None
    prior: PriorVisit | None = None
    truth: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "views", tuple(self.views))
        object.__setattr__(self, "facts", tuple(self.facts))
        if not self.views:
            raise ValueError(f"study {self.id!r} must have at least one view, got none.")
        images = self.images
        if len(images) > 1 + MAX_COMPANIONS:
            raise ValueError(
                f"study {self.id!r} must have at most {1 + MAX_COMPANIONS} images, that of the prior visit "
                f"included, got {len(images)}; leave some views out."
            )
        keys = [view.key for view in images]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"study {self.id!r} holds the image {twice!r} twice.")

    @property
    def images(self) -> tuple[View, ...]:
        """All views, and that of the prior visit last if there is one."""
        prior = self.prior.view if self.prior is not None else None
        return self.views if prior is None else (*self.views, prior)


def without(study: Study, parts: Sequence[str]) -> Study:
    """The study as if some of its parts were not known.

    Args:
        study: with any parts.
        parts: of `PARTS`. `"views"` are all but the first one.

    Raises:
        ValueError: if a part is not known.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"parts must be of {', '.join(map(repr, PARTS))}, got {unknown[0]!r}.")
    prior = study.prior
    if prior is not None and "prior_image" in parts:
        prior = dataclasses.replace(prior, view=None)
    if prior is not None and "prior_report" in parts:
        prior = dataclasses.replace(prior, findings=None, facts=())
    return dataclasses.replace(
        study,
        views=study.views[:1] if "views" in parts else study.views,
        indication=None if "indication" in parts else study.indication,
        prior=prior,
    )


def view_position(value: str | None) -> str:
    """The name of a view position: capitals, and `"UNK"` for what is not known."""
    name = str(value or UNKNOWN_VIEW).strip().upper()
    return name if name in VIEW_POSITIONS else UNKNOWN_VIEW


def check_image(image: np.ndarray) -> None:
    """Raises a ValueError unless this is a picture `(height, width)` of bytes or of floats in [0, 1]."""
    shape, kind = np.shape(image), np.asarray(image).dtype
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"an image must be (height, width) with pixels in it, got shape {shape}.")
    if kind == np.uint8:
        return
    if kind.kind != "f":
        raise ValueError(f"an image must hold bytes or floats in [0, 1], got {kind}.")
    if not np.isfinite(image).all():
        raise ValueError("an image must hold finite numbers, got NaN or infinity.")
    if image.min() < 0 or image.max() > 1:
        raise ValueError(f"an image of floats must be in [0, 1], got {image.min():g} to {image.max():g}.")


def check_patients(parts: dict[str, Sequence[Study]]) -> None:
    """Raises a ValueError if a patient is in more than one of these splits.

    Args:
        parts: studies by the name of the split.
    """
    where: dict[str, str] = {}
    for name, studies in parts.items():
        for study in studies:
            if where.setdefault(study.patient, name) != name:
                raise ValueError(
                    f"patient {study.patient!r} is in {where[study.patient]!r} and in {name!r}: splits must "
                    "keep patients apart."
                )
