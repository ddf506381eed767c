import importlib.metadata

import pytest

from applications.cache_folder import cache_folder, clear, in_words, is_kept, kept_files, size
from applications.demo_cache import cache_name

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    """What the demos keep, of this version and of an older one, beside what is not theirs."""
    for name in ("face_naming", "sign_translation_pairs"):
        (tmp_path / f"{cache_name(name, epochs=1)}.weights.h5").write_bytes(bytes(100))
        (tmp_path / f"{cache_name(name, epochs=1)}.json").write_bytes(bytes(10))
    (tmp_path / "anomaly_detection-0.0.1-0123456789ab.weights.h5").write_bytes(bytes(1000))
    for name in ("thesis.txt", "face_naming.h5", "signing-1.npz"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "deeper-0.1-0123456789ab.d").mkdir()
    return tmp_path


def test_only_what_the_demos_keep_is_counted_and_deleted(folder):
    files = kept_files(folder)
    assert len(files) == 5
    assert size(files) == 1220
    assert clear(files) == (5, 1220)
    assert sorted(path.name for path in folder.iterdir()) == [
        "deeper-0.1-0123456789ab.d",
        "face_naming.h5",
        "signing-1.npz",
        "thesis.txt",
    ]
    assert clear(files) == (0, 0)
    assert size(files) == 0


def test_a_task_is_kept_if_this_version_trained_it(folder):
    assert is_kept("face_naming", folder)
    assert is_kept("sign_translation", folder)
    assert not is_kept("anomaly_detection", folder)
    assert not is_kept("face_naming", folder / "none")


def test_names_are_those_that_the_cache_gives(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2.0rc1.dev3+local")
    (tmp_path / f"{cache_name('a_task', x=1)}.npz").write_bytes(b"12")
    assert in_words(len(kept_files(tmp_path)), 2_500_000) == "1 file, 2.5 MB"


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert kept_files() == []
    monkeypatch.delenv("CONTRAST_CACHE")
    assert cache_folder().parts[-2:] == (".cache", "keras-contrast")
