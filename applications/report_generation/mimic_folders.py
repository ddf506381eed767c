"""Folders of studies as MIMIC-CXR has them.

files/p10/p10000032/s50414267/*.jpg      images of a study, or .dcm or .png
files/p10/p10000032/s50414267.txt        its report
mimic-cxr-2.0.0-metadata.csv             positions of the images and times of the studies; may be missing
mimic-cxr-2.0.0-split.csv                which study is in which split; may be missing
"""

from __future__ import annotations

import re
from pathlib import Path

from applications.csv_tables import read_csv
from applications.pictures import image_files
from applications.report_generation.facts import facts_from_report
from applications.report_generation.formats import (
    FactsOf,
    Order,
    Visit,
    frontal_first,
    linked_studies,
    logger,
    spaced,
    warn_left_out,
)
from applications.report_generation.image_files import DICOM_SUFFIXES, SUFFIXES
from applications.report_generation.study import Study, View, check_patients

__all__ = ["load_mimic_folders", "report_sections"]

METADATA, SPLIT = "mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-2.0.0-split.csv"
_SPLITS = {"validate": "val"}
_INDICATIONS = ("indication", "reason for examination", "reason for exam", "clinical history", "history")
_HEADING = re.compile(r"^[ \t]*([A-Z][A-Z /&-]*[A-Z])[ \t]*:", re.MULTILINE)
_BLANK = re.compile(r"_{2,}")  # where names and dates were taken out


def load_mimic_folders(
    path: str | Path, reports: str | Path | None = None, facts_of: FactsOf = facts_from_report
) -> dict[str, list[Study]]:
    """Reads folders of patients with folders of studies, `p.../s...`, at any depth.

    FINDINGS and INDICATION are cut out of the reports. With the table of metadata images have positions,
    frontal ones come first, and each study has the visit before it; without it positions are unknown and no
    visit is taken for an earlier one, as the numbers of studies are in no order.

    Args:
        path: the folder, in which the two tables lie, too.
        reports: another folder with the reports, if they lie apart.
        facts_of: gives the facts of findings.

    Returns:
        The studies by their split, "train", "val" and "test"; "all" without the table of splits. Studies
        without an image, such as those not downloaded, and images beyond the five that a study may have are
        left out and listed in a warning.

    Raises:
        ValueError: if there is no study, a table is wrong or packed, or a patient is in two splits.
    """
    folder = Path(path)
    images: dict[tuple[str, str], dict[str, Path]] = {}
    for file in image_files(folder, SUFFIXES):
        key = file.parent.parent.name, file.parent.name
        if _is_study(*key):
            by_stem = images.setdefault(key, {})
            if file.stem not in by_stem or by_stem[file.stem].suffix.lower() in DICOM_SUFFIXES:
                by_stem[file.stem] = file  # of one image in two formats the picture is read faster
    texts = {
        (file.parent.name, file.stem): file
        for file in image_files(folder if reports is None else reports, (".txt",))
        if _is_study(file.parent.name, file.stem)
    }
    if not images:
        raise ValueError(
            f"{folder} must hold folders p.../s... with images ({', '.join(SUFFIXES)}), got none."
        )
    positions, orders = _metadata(folder)
    splits = _splits(folder)
    patients = {patient for patient, _ in images}
    parts: dict[str, list[Visit]] = {}
    unlisted = []
    for key in sorted(images.keys() | {key for key in texts if key[0] in patients}):
        if (orders and key[1] not in orders) or (splits and key[1] not in splits):
            unlisted.append("/".join(key))
            continue
        views = [View(file, positions.get(stem)) for stem, file in sorted(images.get(key, {}).items())]
        findings, indication = _told(texts[key]) if key in texts else (None, None)
        facts = tuple(facts_of(findings)) if findings else ()
        visit = Visit(*key, frontal_first(views), findings, facts, indication, orders.get(key[1]))
        parts.setdefault(splits.get(key[1], "all"), []).append(visit)
    warn_left_out({f"studies that {METADATA} or {SPLIT} lack": unlisted})
    studies = {name: linked_studies(visits) for name, visits in parts.items()}
    check_patients(studies)
    if not any(studies.values()):
        raise ValueError(f"{folder} must hold at least one study that {METADATA} and {SPLIT} list, got none.")
    return studies


def report_sections(text: str) -> dict[str, str]:
    """The sections of a report by their headings in lower case.

    A heading is in capitals at the start of a line, with a colon. Marks for what was taken out to hide names
    and dates (`___`) are left out, as are empty sections; of several sections of one name the first counts.

    Example:

    >>> from applications.report_generation.mimic_folders import report_sections
    >>> report_sections("INDICATION:  ___F with cough.\\n\\nFINDINGS:\\n\\n The lungs\\n are clear.")
    {'indication': 'F with cough.', 'findings': 'The lungs are clear.'}
    """
    found = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in found[1:]), len(text)]
    sections: dict[str, str] = {}
    for heading, end in zip(found, ends, strict=False):
        content = spaced(_BLANK.sub(" ", text[heading.end() : end]))
        if content is not None:
            sections.setdefault(" ".join(heading.group(1).lower().split()), content)
    return sections


def _told(report: Path) -> tuple[str | None, str | None]:
    """Findings and indication of a report."""
    sections = report_sections(report.read_text(encoding="utf-8", errors="replace"))
    indication = next((sections[name] for name in _INDICATIONS if name in sections), None)
    return sections.get("findings"), indication


def _is_study(patient: str, study: str) -> bool:
    return re.fullmatch(r"p\d+", patient) is not None and re.fullmatch(r"s\d+", study) is not None


def _metadata(folder: Path) -> tuple[dict[str, str], dict[str, Order]]:
    """Positions by the name of the image, and the order of studies by their name."""
    path = _table(folder, METADATA)
    if path is None:
        logger.warning("%s is not in %s: positions and visits before are not known.", METADATA, folder)
        return {}, {}
    positions, orders = {}, {}
    needed = ("dicom_id", "study_id", "viewposition", "studydate", "studytime")
    for row in read_csv(path, needed, filled=("dicom_id", "study_id", "studydate")):
        cells = row.cells
        positions[cells["dicom_id"].strip()] = cells["viewposition"]
        try:
            order = float(cells["studydate"]), float(cells["studytime"].strip() or 0)
        except ValueError:
            raise ValueError(
                f"{row.place}: StudyDate and StudyTime must be numbers such as 21800506 and 213014.531, "
                f"got {cells['studydate']!r} and {cells['studytime']!r}."
            ) from None
        orders[f"s{cells['study_id'].strip()}"] = order
    return positions, orders


def _splits(folder: Path) -> dict[str, str]:
    path = _table(folder, SPLIT)
    if path is None:
        return {}
    rows = read_csv(path, ("study_id", "split"), filled=("study_id", "split"))
    named = ((row.cells["study_id"].strip(), row.cells["split"].strip().lower()) for row in rows)
    return {f"s{study}": _SPLITS.get(split, split) for study, split in named}


def _table(folder: Path, name: str) -> Path | None:
    path = folder / name
    if path.is_file():
        return path
    if (folder / f"{name}.gz").is_file():
        raise ValueError(f"{folder / name}.gz is packed; unpack it beside the folders: gunzip {name}.gz")
    return None
