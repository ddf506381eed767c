import stat
import zipfile

import pytest

from applications import archives
from applications.archives import unpack_zip

pytestmark = pytest.mark.once

SUFFIXES = (".png",)


def packed(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_only_files_with_the_suffixes_are_unpacked(tmp_path):
    path = packed(
        tmp_path / "a.zip", {"x/1.PNG": b"one", "2.png": b"two", "read.me": b"", "__MACOSX/3.png": b""}
    )
    files = unpack_zip(path, tmp_path / "out", SUFFIXES)
    assert [file.relative_to(tmp_path / "out").as_posix() for file in files] == ["2.png", "x/1.PNG"]
    assert files[1].read_bytes() == b"one"
    assert sorted(file.name for file in (tmp_path / "out").rglob("*") if file.is_file()) == ["1.PNG", "2.png"]


@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "/etc/1.png", "C:\\1.png", "a\\..\\..\\1.png"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    path = packed(tmp_path / "a.zip", {"good.png": b"", name: b"bad"})
    with pytest.raises(ValueError, match="below the folder"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*.png"))


def test_a_bomb_is_refused_by_its_table(tmp_path):
    path = packed(tmp_path / "a.zip", {"1.png": bytes(50 * 1024**2)})
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="times its own size"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)
    assert not (tmp_path / "out").exists()


def test_a_bomb_that_lies_is_stopped_and_taken_away(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", {"1.png": b"1" * 10, "2.png": b"2" * 3_000_000})
    monkeypatch.setattr(archives, "_checked", lambda archive, _: {e.filename: e for e in archive.infolist()})
    monkeypatch.setattr(archives, "MOST_BYTES", 2_000_000)
    with pytest.raises(ValueError, match="more than it says"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)
    assert not (tmp_path / "out").exists()


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    path = packed(tmp_path / "a.zip", {f"{i}.png": b"" for i in range(3)})
    with pytest.raises(ValueError, match="at most 2 pictures, got 3"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)


def test_links_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("link.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ValueError, match="links"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_what_is_no_zip_is_refused(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="zip file cannot be read"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)


def test_a_damaged_member_is_refused_and_nothing_stays(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", b"0123456789" * 20)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0123456789" * 20, b"x123456789" * 20))
    with pytest.raises(ValueError, match="damaged"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)
    assert not (tmp_path / "out").exists()


def test_a_damaged_stream_is_refused_and_nothing_stays(tmp_path):
    path = packed(tmp_path / "a.zip", {"1.png": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    start = content.index(b"1.png") + len(b"1.png")
    content[start : start + 20] = b"\xff" * 20  # no block of deflate begins so
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)
    assert not (tmp_path / "out").exists()


def test_no_pictures_or_no_file(tmp_path):
    path = packed(tmp_path / "a.zip", {"read.me": b""})
    with pytest.raises(ValueError, match=r"ending on \.png, got none"):
        unpack_zip(path, tmp_path / "out", SUFFIXES)
    with pytest.raises(ValueError, match="does not exist"):
        unpack_zip(tmp_path / "missing.zip", tmp_path / "out", SUFFIXES)


def test_a_folder_that_exists_is_left_alone(tmp_path):
    path = packed(tmp_path / "a.zip", {"1.png": b""})
    with pytest.raises(ValueError, match="folder must be a new one"):
        unpack_zip(path, tmp_path, SUFFIXES)
    assert path.exists()
