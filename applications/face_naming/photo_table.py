"""The table that goes with a folder of photos, a CSV file as people and spreadsheets write it."""

from __future__ import annotations

import codecs
import csv
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from applications.pictures import relative_name

__all__ = ["Row", "read_table"]

_NEEDED = ("file", "caption")
_SEPARATORS = (",", ";", "\t")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

logger = logging.getLogger("contrast")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        line: number of the line on which it starts.
        file: path of the picture in the folder of photos.
        caption: text.
        names: the names of the caption; `None`: they are to be proposed from it.
    """

    line: int
    file: str
    caption: str
    names: tuple[str, ...] | None


def read_table(path: str | Path) -> list[Row]:
    """Reads a CSV file with the columns `file`, `caption` and, if need be, `names`.

    Columns may stand in any order among others, separated by commas, semicolons or tabs. Several names are
    separated by semicolons; an empty cell asks for names from the caption, a lone `;` says that there are
    none. The text may be UTF-8, UTF-16 with its mark, or else is taken for Windows-1252, with a warning.

    Args:
        path: of the file.

    Returns:
        The rows in the order of the file.

    Raises:
        ValueError: if the file is missing, columns are, a row does not fit the header, a path leads out of
            the folder, or there is no row. The message says where.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "captions.csv"
    >>> _ = path.write_text('file,caption\\n1.jpg,"Ada Lovelace, left, in London"\\n')
    >>> read_table(path)[0].caption
    'Ada Lovelace, left, in London'
    """
    path = Path(path)
    text = _text(path)
    if not text.strip():
        raise ValueError(f"{path} is empty; its first line must name the columns {', '.join(_NEEDED)}.")
    separator = _separator(text, path)
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
            rows.append(_row(cells, columns, separator, f"{path}, line {first}", first))
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


def _separator(text: str, path: Path) -> str:
    """The separator with which the first line names the columns."""
    header = next(line for line in text.splitlines() if line.strip())
    found = {separator: _columns(header, separator) for separator in _SEPARATORS}
    for separator, columns in found.items():
        if set(_NEEDED) <= set(columns):
            repeated = [name for name in (*_NEEDED, "names") if columns.count(name) > 1]
            if repeated:
                raise ValueError(f"{path} must have each column once, got {', '.join(repeated)} repeatedly.")
            return separator
    columns = max(found.values(), key=len)
    missing = [column for column in _NEEDED if column not in columns]
    raise ValueError(
        f"{path} must have the columns {', '.join(_NEEDED)} in its first line; "
        f"missing: {', '.join(missing)}; found: {', '.join(columns)}."
    )


def _columns(header: str, separator: str) -> list[str]:
    return [_column(cell) for cell in next(csv.reader([header], delimiter=separator))]


def _column(cell: str) -> str:
    return cell.strip().lower()


def _row(cells: list[str], columns: list[str], separator: str, place: str, line: int) -> Row:
    if len(cells) > len(columns):
        raise ValueError(
            f"{place} has {len(cells)} columns, the header {len(columns)}; put a field that holds "
            f"{separator!r} in double quotes."
        )
    row = dict(zip(columns, cells, strict=False))
    missing = [column for column in _NEEDED if column not in row]
    if missing or not row["file"].strip():
        raise ValueError(
            f"{place} must have {', '.join(_NEEDED)}; missing: {', '.join(missing or ['file'])}."
        )
    try:
        file = relative_name(row["file"])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    names = row.get("names", "").strip()
    distinct = dict.fromkeys(name.strip() for name in names.split(";") if name.strip())
    return Row(line, file, row["caption"].strip(), tuple(distinct) if names else None)
