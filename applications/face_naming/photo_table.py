"""The table that goes with a folder of photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from applications.csv_tables import TableRow, read_csv
from applications.pictures import relative_name

__all__ = ["Row", "read_table"]


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

    The file may be written in the ways that `applications.csv_tables.read_csv` knows. Several names are
    separated by semicolons; an empty cell asks for names from the caption, a lone `;` says that there are
    none.

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
    rows = read_csv(path, needed=("file", "caption"), optional=("names",), filled=("file",))
    return [_row(row) for row in rows]


def _row(row: TableRow) -> Row:
    try:
        file = relative_name(row.cells["file"])
    except ValueError as error:
        raise ValueError(f"{row.place}: {error}") from None
    names = row.cells.get("names", "").strip()
    distinct = dict.fromkeys(name.strip() for name in names.split(";") if name.strip())
    return Row(row.line, file, row.cells["caption"].strip(), tuple(distinct) if names else None)
