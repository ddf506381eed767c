import pytest

from applications.csv_tables import read_csv

pytestmark = pytest.mark.once

NEEDED = ("file", "sentence")


@pytest.fixture
def table(tmp_path):
    def write(content):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tables_as_spreadsheets_write_them(table, separator, encoding, caplog):
    rows = (
        ("Sentence ", "other", " FILE"),
        ('"Zoë,; said\n""no"""', "x", "a.mp4"),
        (" ", "", ""),
        ("b", "y", "c"),
    )
    text = "\r\n".join(separator.join(row) for row in rows)
    first, second = read_csv(table(text.encode(encoding)), NEEDED)
    assert first.cells == {"sentence": 'Zoë,; said\n"no"', "other": "x", "file": "a.mp4"}
    assert (first.line, second.line) == (2, 5)
    assert first.place.endswith("table.csv, line 2")
    assert ("Windows-1252" in caplog.text) == (encoding == "cp1252")


def test_only_columns_at_the_end_may_be_missing(table):
    (row,) = read_csv(table("file,sentence,signer\na,b\n"), NEEDED, optional=("signer",))
    assert row.cells == {"file": "a", "sentence": "b"}
    with pytest.raises(ValueError, match=r"line 2 must have file, sentence; missing: sentence\."):
        read_csv(table("file,sentence\na\n"), NEEDED)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; its first line must name the columns file, sentence"),
        ("file,text\na,b\n", "missing: sentence; found: file, text"),
        ("file,sentence\n", "at least one row below the header"),
        ("file,sentence\na,b,c\n", "line 2 has 3 columns, the header 2"),
        ("file,sentence,file\na,b,c\n", "each column once, got file repeatedly"),
        ("file,sentence,signer,signer\na,b,c,d\n", "each column once, got signer repeatedly"),
        ('file,sentence\na,"b" c\n', "line 2"),
        ("file,sentence\n ,b\n", "missing: file"),
        (b"\xff\xfef", "marked as utf-16, but is not"),
    ],
)
def test_wrong_tables(table, content, message):
    with pytest.raises(ValueError, match=message):
        read_csv(table(content), NEEDED, optional=("signer",), filled=("file",))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"table\.csv cannot be read"):
        read_csv(tmp_path / "table.csv", NEEDED)
