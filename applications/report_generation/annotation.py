"""The annotation file of MLRG: JSON with a list of samples, one an image, for each split.

A sample has `anchor_scan` (its image), `auxiliary_references` (the other images of the study), `findings`,
`findings_factual_serialization`, `indication_pure` and `prior_study`, which is null or has `latest_study`.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from applications.report_generation.facts import facts_from_report
from applications.report_generation.formats import (
    FactsOf,
    Visit,
    existing_views,
    make_study,
    spaced,
    warn_left_out,
)
from applications.report_generation.study import PriorVisit, Study, check_patients

__all__ = ["load_annotation"]


def load_annotation(
    path: str | Path, images: str | Path, facts_of: FactsOf = facts_from_report
) -> dict[str, list[Study]]:
    """Reads the annotation file of MLRG, as its authors give it out for MIMIC-CXR.

    The samples of a study become one study again. Patient and study are the two folders that hold an image,
    unless a sample names them as `subject_id` and `study_id`.

    Args:
        path: of the file. A list of samples in place of a dict of such lists is the split "all".
        images: the folder that paths in it are relative to.
        facts_of: gives the facts of findings, where a sample has no field for them.

    Returns:
        The studies by their split. Images that are missing, studies without one or with a report but no fact,
        and images beyond the five that a study may have are left out and listed in a warning.

    Raises:
        ValueError: if the file cannot be read, a part of a sample is missing or of a wrong type, a path leads
            out of the folder, a patient is in two splits, or no study is left. The message names the sample.
    """
    path, folder = Path(path), Path(images)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None
    content = {"all": content} if isinstance(content, list) else content
    if not isinstance(content, dict) or not all(isinstance(part, list) for part in content.values()):
        raise ValueError(f'{path} must hold a list of samples, or {{"train": [...], "val": [...], ...}}.')
    missing: list[str] = []
    left_out: dict[str, list[str]] = {
        f"images that are not in {folder}": missing,
        "studies without an image": [],
        "studies whose report has no fact": [],
        "further images of studies": [],
    }
    parts = {
        split: _studies(samples, f"{path}, {split}", folder, facts_of, left_out)
        for split, samples in content.items()
    }
    missing[:] = dict.fromkeys(missing)  # an image is named by every sample of its study
    warn_left_out(left_out)
    check_patients(parts)
    if not any(parts.values()):
        raise ValueError(f"{path} must hold at least one study with an image in {folder}, got none.")
    return parts


def _studies(
    samples: list, where: str, folder: Path, facts_of: FactsOf, left_out: dict[str, list[str]]
) -> list[Study]:
    missing, empty, factless, large = left_out.values()
    grouped: dict[tuple[str, str], list[tuple[str, dict]]] = {}
    for number, sample in enumerate(samples):
        if not isinstance(sample, dict):
            raise ValueError(f"{where}[{number}] must be an object, got {type(sample).__name__}.")
        place = f"{where}[{number}] ({sample.get('id')!r})"
        grouped.setdefault(_key(sample, place), []).append((place, sample))
    studies = []
    for (patient, study), own in grouped.items():
        place, first = own[0]
        files: dict[str, str | None] = {}
        for part in ("anchor_scan", "auxiliary_references"):  # anchors come first
            for at, sample in own:
                for name, position in _scans(sample, part, at):
                    files.setdefault(name, position)
        views = existing_views(folder, files.items(), place, missing)
        findings = _text(first, "findings", place)
        facts = _facts(first, findings, facts_of, place)
        visit = Visit(patient, study, views, findings, facts, _text(first, "indication_pure", place))
        if findings and not facts:
            factless.append(visit.id)
        elif not views:
            empty.append(visit.id)
        else:
            studies.append(make_study(visit, _prior(first, folder, facts_of, place, missing), large))
    return studies


def _key(sample: dict, place: str) -> tuple[str, str]:
    """Patient and study."""
    patient, study = sample.get("subject_id"), sample.get("study_id")
    if patient is not None and study is not None:
        return str(patient), str(study)
    anchor = _scans(sample, "anchor_scan", place)
    if len(anchor) != 1:
        raise ValueError(f"{place}: anchor_scan must hold one image, got {len(anchor)}.")
    folders = PurePosixPath(anchor[0][0].replace("\\", "/")).parts[:-1]
    if len(folders) < 2:
        raise ValueError(
            f"{place}: image_path must lie in the folders of patient and study, got {anchor[0][0]!r}; "
            "or give subject_id and study_id."
        )
    return folders[-2], folders[-1]


def _scans(sample: dict, part: str, place: str) -> list[tuple[str, str | None]]:
    """Path and position of each image of a part of a sample."""
    scans = sample.get(part)
    if scans is None and part != "anchor_scan":
        return []
    if not isinstance(scans, dict):
        raise ValueError(f"{place}: {part} must be an object, got {type(scans).__name__}.")
    return _images(scans, place)


def _images(scans: dict, place: str) -> list[tuple[str, str | None]]:
    """Path and position of each image that `scans` names."""
    names, positions = _listed(scans, "image_path", place), _listed(scans, "view_position", place)
    if positions and len(positions) != len(names):
        raise ValueError(
            f"{place}: view_position must be one for each of {len(names)} images, got {len(positions)}."
        )
    return list(zip(names, positions or [None] * len(names), strict=True))


def _prior(
    sample: dict, folder: Path, facts_of: FactsOf, place: str, missing: list[str]
) -> PriorVisit | None:
    latest = (_field(sample, "prior_study", dict, place) or {}).get("latest_study")
    if latest is None:
        return None
    if not isinstance(latest, dict):
        raise ValueError(f"{place}: latest_study must be an object, got {type(latest).__name__}.")
    views = existing_views(folder, _images(latest, place)[:1], place, missing)
    findings = _text(latest, "findings", place)
    facts = _facts(latest, findings, facts_of, place)
    return PriorVisit(views[0] if views else None, findings, facts) if views or findings else None


def _facts(part: dict, findings: str | None, facts_of: FactsOf, place: str) -> tuple[str, ...]:
    name = "findings_factual_serialization"
    if findings is None:
        return ()
    if part.get(name) is None:
        return tuple(facts_of(findings))
    return tuple(filter(None, map(spaced, _listed(part, name, place))))


def _text(part: dict, name: str, place: str) -> str | None:
    return spaced(_field(part, name, str, place))


def _listed(part: dict, name: str, place: str) -> list[str]:
    """A list of strings; a string is a list of one, and what is missing is empty."""
    value = part.get(name)
    value = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{place}: {name} must be a list of strings, got {value!r}.")
    return value


def _field(part: dict, name: str, kind: type, place: str) -> Any:
    """A part that may be missing or null, but is of no other type."""
    value = part.get(name)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{place}: {name} must be {kind.__name__} or null, got {type(value).__name__}.")
    return value
