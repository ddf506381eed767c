"""CSV files as people and spreadsheets write them."""

from __future__ import annotations

import codecs
import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TableRow", "read_csv"]

_SEPARATORS = (",", ";", "\t")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

logger = logging.getLogger("contrast")


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Args:
        line: number of the line on which it starts.
        place: what messages call it, the file and the line.
        cells: text by the name of the column, in lower case; columns at the end may be missing.
    """

    line: int
    place: str
    cells: dict[str, str]


def read_csv(
    path: str | Path,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    filled: Sequence[str] = (),
) -> list[TableRow]:
    """Reads a CSV file whose first line names its columns.

    Columns may stand in any order among others, separated by commas, semicolons or tabs. The text may be
    UTF-8, UTF-16 with its mark, or else is taken for Windows-1252, with a warning. Blank lines are skipped.

    Args:
        path: of the file.
        needed: columns that must be there, in every row.
        optional: other columns that are read; they may be missing.
        filled: those needed columns in which a cell must not be empty.

    Returns:
        The rows in the order of the file.

    Raises:
        ValueError: if the file is missing, columns are or stand there twice, a row does not fit the header,
            or there is no row. The message says where.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sentences.csv"
    >>> _ = path.write_text('file,sentence\\n1.mp4,"Rain, then sun"\\n')
    >>> read_csv(path, ("file", "sentence"))[0].cells["sentence"]
    'Rain, then sun'
    """
    path = Path(path)
    text = _text(path)
    if not text.strip():
        raise ValueError(f"{path} is empty; its first line must name the columns {', '.join(needed)}.")
    separator = _separator(text, path, needed, optional)
    # strict, because an open quote would swallow the rest of the file
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, columns, line = [], None, 1
    try:
        for cells in reader:
            line, first = reader.line_num + 1, line
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = [_column(cell) for cell in cells]
                continue
            place = f"{path}, line {first}"
            rows.append(TableRow(first, place, _cells(cells, columns, separator, place, needed, filled)))
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {line}: {error}; a field with quotes in it must be quoted and its quotes doubled."
        ) from error
    if not rows:
        raise ValueError(f"{path} must hold at least one row below the header.")
    return rows


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise ValueError(f"{path} is marked as {encoding}, but is not: {error}.") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        logger.warning(
            "%s is not UTF-8 (byte %d), it is read as Windows-1252. If accents are wrong, save it as UTF-8.",
            path,
            error.start,
        )
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:  # some bytes are not assigned there
        return content.decode("latin-1")


def _separator(text: str, path: Path, needed: Sequence[str], optional: Sequence[str]) -> str:
    """The separator with which the first line names the columns."""
    header = next(line for line in text.splitlines() if line.strip())
    found = {separator: _columns(header, separator) for separator in _SEPARATORS}
    for separator, columns in found.items():
        if set(needed) <= set(columns):
            repeated = [name for name in (*needed, *optional) if columns.count(name) > 1]
            if repeated:
                raise ValueError(f"{path} must have each column once, got {', '.join(repeated)} repeatedly.")
            return separator
    columns = max(found.values(), key=len)
    missing = [column for column in needed if column not in columns]
    raise ValueError(
        f"{path} must have the columns {', '.join(needed)} in its first line; "
        f"missing: {', '.join(missing)}; found: {', '.join(columns)}."
    )


def _columns(header: str, separator: str) -> list[str]:
    return [_column(cell) for cell in next(csv.reader([header], delimiter=separator))]


def _column(cell: str) -> str:
    return cell.strip().lower()


def _cells(
    cells: list[str],
    columns: list[str],
    separator: str,
    place: str,
    needed: Sequence[str],
    filled: Sequence[str],
) -> dict[str, str]:
    if len(cells) > len(columns):
        raise ValueError(
            f"{place} has {len(cells)} columns, the header {len(columns)}; put a field that holds "
            f"{separator!r} in double quotes."
        )
    row = dict(zip(columns, cells, strict=False))
    missing = [column for column in needed if column not in row]
    missing = missing or [column for column in filled if not row[column].strip()]
    if missing:
        raise ValueError(f"{place} must have {', '.join(needed)}; missing: {', '.join(missing)}.")
    return row
