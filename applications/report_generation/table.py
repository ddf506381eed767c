"""Studies in a table that a person can write, as CSV or JSON.

patient,study,image,position,indication,findings,order
P1,first,P1/a.png;P1/b.png,PA;LATERAL,cough,No pleural effusion.,2024-05-31

A study may have one row with several images, or several rows. Further columns are `facts`, separated by
semicolons, and `split`. JSON is a list of objects with these names, in which `image`, `position` and `facts`
may be lists.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from applications.csv_tables import TableRow, read_csv
from applications.report_generation.facts import facts_from_report
from applications.report_generation.formats import (
    FactsOf,
    Visit,
    existing_views,
    linked_studies,
    spaced,
    visit_order,
    warn_left_out,
)
from applications.report_generation.study import Study, check_patients

__all__ = ["load_table"]

NEEDED = ("patient", "study", "image")
OPTIONAL = ("position", "indication", "findings", "facts", "order", "date", "split")
_ONCE = ("indication", "findings", "facts", "order", "date", "split")


def load_table(
    path: str | Path, images: str | Path | None = None, facts_of: FactsOf = facts_from_report
) -> dict[str, list[Study]]:
    """Reads a table of studies.

    The visit before is found by `order` or `date` within the patient, and by the order of rows if neither is
    there.

    Args:
        path: of a `.json` file, or of a CSV file.
        images: the folder that images are relative to; `None`: that of the table.
        facts_of: gives the facts of findings, where the table has none.

    Returns:
        The studies by their split, "all" if there is none. Images that are missing, studies without one and
        images beyond the five that a study may have are left out and listed in a warning.

    Raises:
        ValueError: if the table is wrong, a path leads out of the folder, rows of a study differ, a patient
            is in two splits, or no study is left. The message says where.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> from applications.report_generation.table import load_table
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> Image.new("L", (8, 8)).save(folder / "a.png")
    >>> text = "patient,study,image,findings\\nP1,1,a.png,The lungs are clear."
    >>> _ = (folder / "studies.csv").write_text(text)
    >>> [(study.id, study.facts) for study in load_table(folder / "studies.csv")["all"]]
    [('P1/1', ('lungs clear',))]
    """
    path = Path(path)
    folder = path.parent if images is None else Path(images)
    rows = (
        _json_rows(path) if path.suffix.lower() == ".json" else read_csv(path, NEEDED, OPTIONAL, NEEDED[:2])
    )
    grouped: dict[tuple[str, str], list[TableRow]] = {}
    for row in rows:
        grouped.setdefault((row.cells["patient"].strip(), row.cells["study"].strip()), []).append(row)
    parts: dict[str, list[Visit]] = {}
    missing: list[str] = []
    ordered = any(_cell(row, "order") or _cell(row, "date") for row in rows)
    for number, ((patient, study), own) in enumerate(grouped.items()):
        place = own[0].place
        once = {name: _agreed(own, name) for name in _ONCE}
        files = [file for row in own for file in _files(row)]
        order = visit_order(once["date"] or once["order"], place) if ordered else (float(number),)
        findings = spaced(once["findings"])
        facts = _pieces(once["facts"]) or (facts_of(findings) if findings else ())
        views = existing_views(folder, files, place, missing)
        visit = Visit(patient, study, views, findings, tuple(facts), spaced(once["indication"]), order)
        parts.setdefault(once["split"] or "all", []).append(visit)
    warn_left_out({f"images that are not in {folder}": missing})
    studies = {name: linked_studies(visits) for name, visits in parts.items()}
    check_patients(studies)
    if not any(studies.values()):
        raise ValueError(f"{path} must hold at least one study with an image in {folder}, got none.")
    return studies


def _cell(row: TableRow, name: str) -> str:
    return row.cells.get(name, "").strip()


def _agreed(rows: Sequence[TableRow], name: str) -> str:
    """The one value that the rows of a study give, where they give one."""
    values = {_cell(row, name): row for row in rows if _cell(row, name)}
    if len(values) > 1:
        raise ValueError(f"{list(values.values())[1].place}: {name} differs from another row of this study.")
    return next(iter(values), "")


def _files(row: TableRow) -> list[tuple[str, str | None]]:
    """Path and position of each image of a row."""
    names = _pieces(row.cells["image"])
    positions = [piece.strip() for piece in _cell(row, "position").split(";")]
    if positions == [""]:
        positions = [""] * len(names)
    if len(positions) != len(names):
        raise ValueError(
            f"{row.place}: position must be one for each of {len(names)} images, got {len(positions)}."
        )
    return list(zip(names, positions, strict=True))


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in text.split(";") if piece.strip()]


def _json_rows(path: Path) -> list[TableRow]:
    """The objects of a JSON file as rows."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} must hold a list of studies, at least one, got {type(entries).__name__}.")
    return [_json_row(f"{path}, entry {number}", number, entry) for number, entry in enumerate(entries)]


def _json_row(place: str, number: int, entry: Any) -> TableRow:
    if not isinstance(entry, dict):
        raise ValueError(f"{place} must be an object, got {type(entry).__name__}.")
    cells = {str(name).strip().lower(): _text(place, name, value) for name, value in entry.items()}
    missing = [name for name in NEEDED if name not in cells] or [
        name for name in NEEDED[:2] if not cells[name].strip()
    ]
    if missing:
        raise ValueError(f"{place} must have {', '.join(NEEDED)}; missing: {', '.join(missing)}.")
    return TableRow(number, place, cells)


def _text(place: str, name: str, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ";".join(value)
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return "" if value is None else str(value)
    raise ValueError(f"{place}: {name} must be a text, a number or a list of texts, got {value!r}.")
