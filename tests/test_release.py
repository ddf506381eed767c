"""What is checked before a release: licences, the build, what the wheel holds."""

import importlib
import importlib.metadata
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from applications.environment import EXTRAS

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def script(monkeypatch):
    """Imports a module of `scripts/`."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    loaded = []

    def load(name):
        loaded.append(name)
        return importlib.import_module(name)

    yield load
    for name in loaded:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that is built from the source archive, and the one from the tree."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    program = (
        "import os, sys, tarfile; from hatchling import build; folder = sys.argv[1];"
        "archive = build.build_sdist(folder); build.build_wheel(os.path.join(folder, 'direct'));"
        "tarfile.open(os.path.join(folder, archive)).extractall(folder, filter='data');"
        "os.chdir(os.path.join(folder, archive.removesuffix('.tar.gz'))); build.build_wheel(folder)"
    )
    (folder / "direct").mkdir()
    subprocess.run([sys.executable, "-c", program, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (from_archive,), (direct,) = folder.glob("*.whl"), (folder / "direct").glob("*.whl")
    return from_archive, direct


def test_the_source_archive_builds_the_same_wheel(wheel, script):
    contents = script("release_check").contents
    from_archive, direct = map(contents, wheel)
    assert from_archive.keys() == direct.keys()
    assert from_archive == direct


def test_the_wheel_holds_all_of_its_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel[0]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if "/licenses/" in name]
    packages = ("contrast", "applications", "demos")
    there = {path for package in packages for path in (ROOT / package).rglob("*") if path.is_file()}
    there = {path.relative_to(ROOT) for path in there if "__pycache__" not in path.parts}
    there = {path.as_posix() for path in there if not any(part.startswith(".") for part in path.parts)}
    assert held == there
    assert "contrast/py.typed" in held
    assert sorted(name.rpartition("/")[2] for name in licences) == ["LICENSE", "THIRD_PARTY.md"]


def test_the_command_line_runs_from_the_wheel(wheel, tmp_path):
    with zipfile.ZipFile(wheel[0]) as archive:
        archive.extractall(tmp_path / "installed")
    program = "import applications.cli as cli; print(cli.__file__); cli.main()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-c", program, "list"]
    listed = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert listed.stdout.startswith(str(tmp_path / "installed"))
    assert "face_naming" in listed.stdout


def test_the_metadata_of_the_wheel_are_valid_and_say_what_each_extra_brings(wheel):
    with zipfile.ZipFile(wheel[0]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Metadata.from_email(archive.read(name))  # raises if a field is not valid
    assert set(metadata.provides_extra) == set(PROJECT["optional-dependencies"])
    installed = importlib.metadata.packages_distributions()
    for module, extra in EXTRAS.items():
        brought = {
            canonicalize_name(requirement.name)
            for requirement in metadata.requires_dist
            if requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        }
        if module in installed:
            assert brought & {canonicalize_name(one) for one in installed[module]}, (module, extra)
    base = {
        canonicalize_name(requirement.name)
        for requirement in metadata.requires_dist
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert base == {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}


def test_the_table_of_licences_names_all_that_is_pinned(script):
    third_party = script("third_party")
    text = third_party.FILE.read_text(encoding="utf-8")
    table = text.partition(third_party.START)[2].partition(third_party.END)[0]
    assert sorted(third_party.rows_of(table).keys() - {"package", "---"}) == third_party.pinned()
    assert "not installed" not in table


def test_the_table_of_licences_is_renewed_from_what_is_installed(script, tmp_path, monkeypatch, capsys):
    third_party = script("third_party")
    file = tmp_path / "THIRD_PARTY.md"
    old = "| colorama | Mine | text |\n| not-there | X | demo |"
    file.write_text(f"before\n{third_party.START}\n{old}\n{third_party.END}\nafter\n")
    monkeypatch.setattr(third_party, "FILE", file)
    monkeypatch.setattr(third_party, "pinned", lambda: ["not-there", "numpy", "pytest"])
    assert third_party.main(["--check"]) == 1
    assert "Mine" in file.read_text()
    assert third_party.main([]) == 0
    assert third_party.main(["--check"]) == 0
    rows = third_party.rows_of(file.read_text())
    assert rows["not-there"] == "| not-there | X | demo |"
    assert "BSD-3-Clause" in rows["numpy"] and rows["numpy"].endswith("| base |")
    assert rows["pytest"] == "| pytest | MIT | test |"
    assert "colorama" not in rows
    assert file.read_text().startswith("before\n") and file.read_text().endswith("\nafter\n")


def test_every_golden_file_and_corpus_has_its_licence():
    text = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    for path in (ROOT / "tests" / "golden").glob("*.npz"):
        assert f"| `{path.name}` |" in text, f"THIRD_PARTY.md must name {path.name}"
    for corpus in ("mnist_data", "lfw_subset", "astronaut", "brick", "grass", "gravel"):
        assert corpus in text


def test_the_walk_refuses_a_step_that_it_does_not_know(script, capsys):
    with pytest.raises(SystemExit):
        script("release_check").main(["wheels"])
    assert "got wheels" in capsys.readouterr().err


def test_the_walk_expects_a_module_of_each_extra_for_users(script):
    modules = script("release_check").modules_by_extra()
    users = set(PROJECT["optional-dependencies"]) - {"test", "dev", "all"}
    assert set(modules) == users


def test_the_walk_times_its_steps_and_stops_at_one_that_fails(script, tmp_path, monkeypatch, capsys):
    walk = script("release_check")
    monkeypatch.setattr(walk.Walk, "clone", lambda self: None)
    monkeypatch.setattr(
        walk.Walk, "wheel", lambda self: self.run(sys.executable, "-c", "raise SystemExit('no')")
    )
    monkeypatch.setattr(walk.Walk, "base", lambda self: pytest.fail("after a step that failed"))
    with pytest.raises(SystemExit, match="no\n"):
        walk.main(["clone", "wheel", "base", "--folder", str(tmp_path / "walk")])
    output = capsys.readouterr().out
    assert "| clone | 0 |" in output and "| wheel |" not in output
