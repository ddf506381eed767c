"""A chest made of ellipsoids: organs of a patient, and findings in them.

Axes: x from the patient's right to the left, y from back to front, z down; the body is about 1 wide to
either side. An ellipsoid is a row of eight numbers: centre x, y, z, half axes x, y, z, density, and its tilt
about the y axis in radians. Densities add up where ellipsoids overlap; a negative one is air.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from applications.report_generation.findings import SIDES, Record

__all__ = ["NODULE_RADII", "Anatomy", "draw_anatomy", "phantom"]

NODULE_RADII = (0.13, 0.15, 0.17)  # of severities 1 to 3; far smaller ones cannot be read
_BLOBS = 5
_SIGN = {"left": 1.0, "right": -1.0}
_HEIGHT = {"upper": -0.36, "mid": -0.06, "lower": 0.24}
_DEPTH = {"anterior": 0.24, "posterior": -0.24}


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What is a patient's own and stays over the years.

    Args:
        width: half width of the body, 0.75 to 0.9.
        heart: size of the heart, 0.9 to 1.1 of the usual.
        inspiration: how much lower than usual the diaphragm stands, -0.06 to 0.06.
        scars: old thickening of the pleura, left and right, that looks like an effusion of this severity;
            0 to 2, and 0 in half of the sides.
        wires: the sternum was once closed with wires.
        blobs: `(2, 5, 3)` offsets of the clouds that a left and a right consolidation are made of.
        offset: `(2,)` of all small findings from their usual place, left-right and up-down.
    """

    width: float
    heart: float
    inspiration: float
    scars: tuple[float, float]
    wires: bool
    blobs: np.ndarray
    offset: np.ndarray


def draw_anatomy(generator: np.random.Generator) -> Anatomy:
    """A random patient; one of seven has sternal wires."""
    return Anatomy(
        width=generator.uniform(0.75, 0.9),
        heart=generator.uniform(0.9, 1.1),
        inspiration=generator.uniform(-0.06, 0.06),
        scars=tuple((generator.uniform(0, 2, 2) * (generator.random(2) < 0.5)).tolist()),
        wires=bool(generator.random() < 1 / 7),
        blobs=generator.normal(0, 0.07, (2, _BLOBS, 3)).clip(-0.14, 0.14),
        offset=generator.uniform(-0.06, 0.06, 2),
    )


def phantom(anatomy: Anatomy, record: Record) -> np.ndarray:
    """The chest of a patient with the findings of a visit.

    Args:
        anatomy: of the patient.
        record: findings of the visit.

    Returns:
        `(ellipsoids, 8)` float32: as many rows in the same order for all chests; what is not there has
        density 0.

    Example:

    >>> chest = phantom(draw_anatomy(np.random.default_rng(0)), Record())
    >>> chest.shape[1], bool((chest[:, 3:6] > 0).all())
    (8, True)
    """
    rows = [*_chest(anatomy), *_heart(anatomy, record["cardiomegaly"].severity), *_wires(anatomy)]
    for side in SIDES:
        rows += _effusion(anatomy, side, record[f"{side} pleural effusion"].severity)
        rows += _consolidation(anatomy, side, record)
    rows += _nodule(anatomy, record) + _atelectasis(anatomy, record)
    rows += _pneumothorax(anatomy, record) + _device(anatomy, record)
    return np.array(rows, "float32")


def _chest(anatomy: Anatomy) -> list[tuple]:
    width, breath = anatomy.width, anatomy.inspiration
    middle = 0.46 * width
    rows = [
        (0, 0, 0.1, width, 0.62, 1.25, 1.0, 0),  # body
        (0, -0.46, 0, 0.09, 0.12, 1.4, 1.0, 0),  # spine
        (0, 0.02, -0.3, 0.12, 0.22, 0.62, 0.6, 0),  # mediastinum
        (0, 0.0, -0.78, 0.045, 0.05, 0.36, -0.8, 0),  # windpipe
    ]
    for sign in _SIGN.values():
        rows += [
            (sign * middle, -0.02, -0.08 + breath / 2, 0.42 * width, 0.46, 0.66 + breath / 2, -0.85, 0),
            (sign * middle, 0, 0.86 + breath, 0.5 * width, 0.52, 0.34, 1.0, 0),  # dome of the diaphragm
            (sign * 0.34, 0.3, -0.72, 0.3, 0.05, 0.03, 1.2, -sign * 0.25),  # collarbone
        ]
        for level in np.linspace(-0.6, 0.5, 7):
            reach = 0.43 * width
            rows += [
                (sign * reach, -0.2, level, 0.85 * reach, 0.27, 0.026, 0.28, sign * 0.12),
                (sign * 1.05 * reach, 0.24, level + 0.1, 0.75 * reach, 0.22, 0.026, 0.22, sign * 0.35),
            ]
    return rows


def _heart(anatomy: Anatomy, severity: int) -> list[tuple]:
    """It lies in front and to the left, and grows mostly to the left."""
    size = anatomy.heart * (1 + 0.22 * severity)
    lift = anatomy.inspiration
    return [(0.06 + 0.06 * size, 0.2, 0.24 + lift, 0.25 * size, 0.2 * size, 0.25 * size, 0.8, 0.3)]


def _wires(anatomy: Anatomy) -> list[tuple]:
    density = 6.0 if anatomy.wires else 0.0
    return [(0, 0.54, level, 0.05, 0.02, 0.014, density, 0.2) for level in np.linspace(-0.45, 0.25, 5)]


def _effusion(anatomy: Anatomy, side: str, severity: int) -> list[tuple]:
    """Fluid at the back first, behind the dome of the diaphragm; an old scar adds to what is seen."""
    seen = severity + anatomy.scars[SIDES.index(side)]
    density = 0.3 * np.clip(seen, 0, 1) + 0.3 * np.clip(seen - 1, 0, 1)
    place = (_SIGN[side] * 0.52 * anatomy.width, -0.3 + 0.04 * seen, 0.66 - 0.08 * seen)
    return [(*place, 0.2 + 0.02 * seen, 0.16 + 0.05 * seen, 0.14 + 0.06 * seen, density, 0)]


def _consolidation(anatomy: Anatomy, side: str, record: Record) -> list[tuple]:
    finding = record[f"{side} consolidation"]
    density = 0.35 + 0.1 * finding.severity if finding.severity else 0.0
    centre = np.array(
        [_SIGN[side] * 0.46 * anatomy.width, _DEPTH.get(finding.depth, 0), _HEIGHT.get(finding.height, 0)]
    )
    radius = 0.1 + 0.025 * finding.severity
    return [
        (*(centre + offset), radius, radius, radius, density, 0)
        for offset in anatomy.blobs[SIDES.index(side)]
    ]


def _nodule(anatomy: Anatomy, record: Record) -> list[tuple]:
    finding = record["nodule"]
    sign = _SIGN.get(finding.side, 1.0)
    across, down = anatomy.offset
    place = (sign * (0.46 * anatomy.width + across), 0.08, {"lower": 0.22}.get(finding.height, -0.3) + down)
    radius = NODULE_RADII[max(finding.severity, 1) - 1]
    return [(*place, radius, radius, radius, 2.2 if finding.severity else 0.0, 0)]


def _atelectasis(anatomy: Anatomy, record: Record) -> list[tuple]:
    """A thin tilted plate above the diaphragm."""
    finding = record["atelectasis"]
    sign = _SIGN.get(finding.side, 1.0)
    place = (sign * 0.46 * anatomy.width, -0.05, 0.38 + anatomy.offset[1] / 2)
    length = 0.2 + 0.03 * finding.severity
    density = 0.7 + 0.25 * finding.severity if finding.severity else 0.0
    return [(*place, length, 0.2, 0.03 + 0.008 * finding.severity, density, -sign * 0.45)]


def _pneumothorax(anatomy: Anatomy, record: Record) -> list[tuple]:
    """A rim of air at the outer and upper border of a lung."""
    finding = record["pneumothorax"]
    sign, size, width = _SIGN.get(finding.side, 1.0), finding.severity, anatomy.width
    density = -0.3 if size else 0.0
    return [
        (sign * 0.66 * width, 0.05, -0.34, 0.06 + 0.03 * size, 0.36, 0.3 + 0.05 * size, density, sign * 0.28),
        (sign * 0.47 * width, 0.05, -0.6, 0.2, 0.3, 0.05 + 0.025 * size, density, -sign * 0.3),
    ]


def _device(anatomy: Anatomy, record: Record) -> list[tuple]:
    """A dense box under the skin of the chest, and its lead into the heart."""
    finding = record["device"]
    sign = _SIGN.get(finding.side, 1.0)
    box, lead = (9.0, 7.0) if finding.severity else (0.0, 0.0)
    across, down = anatomy.offset
    corners = np.array(
        [[sign * (0.44 + across), -0.5 + down], [sign * 0.24, -0.62], [sign * 0.05, -0.45], [0.06, 0.14]]
    )
    rows = [(corners[0, 0], 0.5, corners[0, 1], 0.085, 0.03, 0.085, box, 0)]
    for start, end in itertools.pairwise(corners):
        (x, z), step = (start + end) / 2, end - start
        rows.append((x, 0.3, z, np.hypot(*step) / 2 + 0.02, 0.02, 0.016, lead, np.arctan2(step[1], step[0])))
    return rows
