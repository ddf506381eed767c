"""The worked example is a whole application: written as the page says, it is trained, measured and tabled."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import applications
from applications import cli, registry, tables

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "how_to_add_a_paper.md"
FILE = re.compile(
    r'^(?P<fence>```+)\w+ title="(?P<path>[^"]+)"\n(?P<text>.*?)^(?P=fence)$', re.MULTILINE | re.DOTALL
)
PACKAGE = "applications.odd_one_out"


def files():
    """The files that the page holds, by their paths."""
    return {found["path"]: found["text"] for found in FILE.finditer(GUIDE.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder with the application, on which the installed packages look as on their own."""
    root = tmp_path_factory.mktemp("checkout")
    held = files()
    row = held.pop("applications/registry.py")
    for path, text in held.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    (root / "README.md").write_text(
        "<!-- applications:START -->\n<!-- applications:END -->\n", encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applications, "__path__", [*applications.__path__, str(root / "applications")])
        rows = (*registry.APPLICATIONS, *eval(row, {"Application": registry.Application}))
        patch.setattr(registry, "APPLICATIONS", rows)
        patch.setattr(cli, "APPLICATIONS", rows)
        patch.setattr(tables.applications_table, "__defaults__", (rows,))
        patch.chdir(root)
        yield root
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def command(*arguments):
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_page_holds_all_that_an_application_needs():
    names = {path.rpartition("/")[2] for path in files()}
    assert {
        "corpus.py",
        "formats.py",
        "deep_odd.py",
        "deep_odd_claim.py",
        "__init__.py",
        "README.md",
    } <= names


def test_the_commands_on_the_page_are_those_below():
    text = GUIDE.read_text(encoding="utf-8")
    lines = re.findall(r"^contrast .*$", text, re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["train", "reproduce", "tables"]


def test_it_is_listed(checkout):
    assert "odd_one_out" in command("list")


def test_it_trains_and_leaves_a_run_folder(checkout):
    command("train", "odd_one_out", "--output", "runs/odd", "--epochs", "2")
    files = {path.name for path in (checkout / "runs" / "odd").iterdir()}
    assert {"config.json", "model.keras", "history.csv", "finished.json"} <= files


def test_its_claim_holds_and_its_table_is_written(checkout):
    results = checkout / "applications" / "odd_one_out" / "deep_odd_claim.json"
    output = command("reproduce", "odd_one_out", "--seeds", "0", "--json", str(results))
    assert "claim: holds: full beats without negatives" in output
    (result,) = json.loads(results.read_text(encoding="utf-8"))
    accuracy = {name: arm["accuracy"]["mean"] for name, arm in result["arms"].items()}
    assert accuracy["full"] > 0.7 > 0.45 > max(accuracy["untrained"], accuracy["without negatives"])
    command("tables", "--root", str(checkout))
    readme = (results.parent / "README.md").read_text(encoding="utf-8")
    assert f"| full | {accuracy['full']:.3f} |" in readme
    assert "odd_one_out/README.md" in (checkout / "README.md").read_text(encoding="utf-8")
    command("tables", "--check", "--root", str(checkout))


def test_the_examples_of_its_readme_run(checkout):
    text = (checkout / "applications" / "odd_one_out" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code.replace("epochs=recipe.epochs", "epochs=1"), names)
    assert names["model"].history.history["loss"][-1] > 0


def test_its_tests_pass(checkout, tmp_path):
    path = checkout / "tests" / "applications" / "odd_one_out" / "test_deep_odd.py"
    names = {"__name__": "test_deep_odd"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    tests = {name: test for name, test in names.items() if name.startswith("test_")}
    assert len(tests) == 3
    for test in tests.values():
        test(tmp_path) if test.__code__.co_argcount else test()


def test_its_docstring_example_runs(checkout):
    import doctest

    module = importlib.import_module(f"{PACKAGE}.deep_odd")
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0


def test_contributing_leads_here():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "docs/how_to_add_a_paper.md" in text
