import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def scripts(monkeypatch, tmp_path):
    """The modules of `scripts/`, on an empty environment folder."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("CONTRAST_VENV", str(tmp_path / "venv"))
    names = ("dev", "dev_environment", "dev_tests")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield [importlib.import_module(name) for name in names]
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def environment(scripts):
    return scripts[1]


def pretend_installed(environment, extras, key=None):
    folder = environment.environment_folder()
    environment.executable("python").parent.mkdir(parents=True, exist_ok=True)
    environment.executable("python").touch()
    environment.write_stamp(folder, key or environment.stamp_key(), extras)


def test_set_up_is_needed_once(environment):
    assert environment.missing_extras({"demo"}) == {"demo"}
    pretend_installed(environment, {"demo", "corpora"})
    assert environment.missing_extras({"demo"}) == set()
    environment.executable("python").unlink()
    assert environment.missing_extras({"demo"}) == {"demo", "corpora"}


def test_more_extras_are_added_to_those_that_are_there(environment):
    pretend_installed(environment, {"demo"})
    assert environment.missing_extras({"test"}) == {"demo", "test"}
    assert environment.missing_extras({"all"}) == {"all"}
    pretend_installed(environment, {"all"})
    assert environment.missing_extras({"demo", "test"}) == set()


@pytest.mark.parametrize(
    ("name", "old", "new", "redone"),
    [
        ("pyproject.toml", '"tqdm>=', '"colorama", "tqdm>=', True),
        ("pyproject.toml", "line-length = 110", "line-length = 111", False),
        ("constraints.txt", "tqdm==", "tqdm==1", True),
    ],
)
def test_set_up_is_redone_when_what_it_depends_on_changes(
    environment, monkeypatch, tmp_path, name, old, new, redone
):
    for file in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, tmp_path / file)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    pretend_installed(environment, {"demo"})
    assert environment.missing_extras({"demo"}) == set()
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    assert environment.missing_extras({"demo"}) == ({"demo"} if redone else set())


def test_an_interrupted_set_up_is_redone(environment, monkeypatch):
    def interrupted(requirement, log_path):
        raise KeyboardInterrupt

    pretend_installed(environment, set())
    monkeypatch.setattr(environment, "create_environment", lambda folder: None)
    monkeypatch.setattr(environment, "install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.set_up({"demo"})
    assert environment.missing_extras({"demo"}) == {"demo"}
    installed = []
    monkeypatch.setattr(environment, "install", lambda requirement, log_path: installed.append(requirement))
    environment.set_up({"demo"})
    environment.set_up({"demo"})
    assert installed == [f"{ROOT}[demo]"]


def test_a_folder_of_the_user_is_not_cleared(environment):
    folder = environment.environment_folder()
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(SystemExit, match="holds something else"):
        environment.create_environment(folder)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_what_stands_after_two_dashes_is_passed_on(scripts):
    dev = scripts[0]
    assert dev.split_arguments(["test", "--", "-k", "a", "--", "b"]) == (["test"], ["-k", "a", "--", "b"])
    options = dev.parser().parse_args(["test", "--backend", "jax", "--skip-slow"])
    assert (options.backend, options.skip_slow, options.skip_lint) == (["jax"], True, False)
    with pytest.raises(SystemExit):
        dev.main(["setup", "--", "x"])


def test_an_old_python_is_told_what_is_needed(scripts, monkeypatch):
    dev = scripts[0]
    monkeypatch.setattr(dev, "OLDEST_PYTHON", (99, 0))
    monkeypatch.setattr(dev.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later; this is Python"):
        dev.with_recent_python()


def test_clean_leaves_runs_and_the_environment(scripts, monkeypatch, tmp_path):
    dev, environment, _ = scripts
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    for name in ("build", "runs", "contrast/__pycache__", "venv"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert dev.main(["clean"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["contrast", "runs", "venv"]
    assert list((tmp_path / "contrast").iterdir()) == []
    assert dev.main(["clean", "--venv"]) == 0
    assert not (tmp_path / "venv").exists()


def test_without_a_browser_there_is_a_note_and_no_failure(scripts, monkeypatch, capsys):
    tests = scripts[2]
    monkeypatch.setattr(tests.shutil, "which", lambda name: None)
    tests.provide_browser()
    assert "browser tests will be skipped" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["demo", "test", "lint", "docs", "clean"])
def test_make_calls_the_script(target):
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", target, "PYTHON=py"]
    output = subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True).stdout
    assert output == f"py scripts/dev.py {target}\n"


@pytest.fixture
def small_project(scripts, monkeypatch, tmp_path):
    """The test command on a project with a handful of tests, run by this Python."""
    tests = scripts[2]
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    (tmp_path / "test_small.py").write_text(
        "import os, pytest\n"
        "def test_backend(): assert os.environ['KERAS_BACKEND'] in ('tensorflow', 'jax', 'torch')\n"
        "def test_jax_fails(): assert os.environ['KERAS_BACKEND'] != 'jax'\n"
        "def test_torch_skips():\n"
        "    if os.environ['KERAS_BACKEND'] == 'torch': pytest.skip('no')\n"
        "@pytest.mark.slow\n"
        "def test_slow(): pass\n"
    )
    monkeypatch.setattr(tests, "ROOT", tmp_path)
    monkeypatch.setattr(tests, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(tests, "executable", lambda name: sys.executable)
    monkeypatch.setattr(tests, "provide_browser", lambda: None)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tests


@pytest.mark.slow
def test_the_summary_counts_and_the_status_fails_with_one_run(small_project, capsys):
    backends = ["tensorflow", "jax", "torch"]
    assert small_project.test(backends, with_slow=True, with_lint=False, jobs=2, arguments=[]) == 1
    output = capsys.readouterr().out
    summary = output[output.index("===== summary =====") :]
    rows = {line.split()[0]: line.split() for line in summary.splitlines()[1:5]}
    assert set(rows) == {"tensorflow", "jax", "torch", "slow"}
    assert {name: row[1] for name, row in rows.items()} == {
        "tensorflow": "passed",
        "jax": "FAILED",
        "torch": "passed",
        "slow": "passed",
    }
    assert "===== jax =====" in output
    assert summary.splitlines()[-1] == "total: 8 passed, 1 failed, 1 skipped"


@pytest.mark.slow
def test_a_selection_may_leave_runs_empty_but_not_all(small_project):
    assert small_project.test(["torch"], True, False, 1, ["-k", "backend"]) == 0
    assert small_project.test(["torch"], True, False, 1, ["-k", "nothing_at_all"]) == 1
    assert small_project.test(["jax"], False, False, 1, []) == 1


def test_what_does_not_depend_on_the_backend_runs_on_the_last(scripts, monkeypatch, tmp_path):
    tests = scripts[2]
    monkeypatch.setattr(tests, "LOGS", tmp_path / "logs")
    started = []
    monkeypatch.setattr(tests, "run_side_by_side", lambda runs, jobs: started.extend(runs))
    tests.test(["tensorflow", "jax", "torch"], with_slow=False, with_lint=False, jobs=1, arguments=[])
    tiers = {run.backend: run.command[run.command.index("-m", 2) + 1] for run in started}
    assert tiers.pop("torch") == "not slow"
    assert set(tiers.values()) == {"not slow and not once"}
