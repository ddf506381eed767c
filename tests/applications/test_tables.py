import json
import math
import re
from pathlib import Path

import pytest

from applications.registry import APPLICATIONS
from applications.tables import (
    applications_table,
    format_table,
    markdown_table,
    renewed,
    stale_readmes,
    table_rows,
)

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
READY = [row for row in APPLICATIONS if row.state == "ready"]


def make_result(**changes):
    def summary(*values):
        return {"values": list(values), "mean": sum(v or 0 for v in values) / len(values), "std": 9.0}

    result = {
        "task": "face_naming",
        "paper": "secla",
        "corpus": "points | lines",
        "backend": "jax",
        "versions": {"jax": "1.2", "keras": "3.4"},
        "seeds": [0, 1],
        "seconds": 12.3,
        "primary_metric": "accuracy",
        "arms": {
            "plain": {"f1": summary(0.1, 0.3), "accuracy": summary(0.5, 0.6)},
            "full": {"f1": summary(1234567.0, 1234567.0), "accuracy": summary(0.7, 0.9)},
        },
        "baselines": {"chance": {"accuracy": 0.25}},
        "curves": {},
        "checks": [
            {"kind": "claim", "text": "full > plain", "holds": True},
            {"kind": "observation", "text": "below <1>", "holds": False},
        ],
        "reference": "full",
    }
    return {**result, **changes}


def test_rows_compare_arms_seed_by_seed():
    assert table_rows(make_result()) == [
        ["arm", "accuracy", "difference to full", "f1"],
        ["plain", "0.550 ± 0.071", "-0.250 ± 0.071", "0.200 ± 0.141"],
        ["full", "0.800 ± 0.141", "", "1.235e+06 ± 0.000"],
        ["(chance)", "0.250", "", ""],
    ]


def test_one_seed_has_no_spread_and_no_reference_no_difference():
    result = make_result(seeds=[0], arms={"full": {"accuracy": {"values": [0.7], "mean": 0.7, "std": 0.0}}})
    del result["reference"]
    assert table_rows(result)[:2] == [["arm", "accuracy"], ["full", "0.700"]]


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_what_is_not_finite_is_shown_as_such(missing):
    arms = make_result()["arms"]
    arms["plain"]["accuracy"]["values"] = [missing, 0.5]
    row = table_rows(make_result(arms=arms))[1]
    assert row[1:3] == ["n/a", "n/a"]


def test_the_terminal_table_tells_everything():
    lines = format_table(make_result()).splitlines()
    assert lines[0] == "face_naming / secla: points | lines (jax 1.2, Keras 3.4; seeds 0 1; 12 s)"
    assert lines[2].index("accuracy") == lines[4].index("0.550")
    assert lines[-2:] == ["claim: holds: full > plain", "observation: does not hold: below <1>"]


def test_a_fast_run_says_so_and_is_not_judged():
    lines = format_table(make_result(fast=True)).splitlines()
    assert "12 s; fast: it shows that the experiment runs, and nothing else" in lines[0]
    assert lines[-2:] == ["claim: not judged: full > plain", "observation: not judged: below <1>"]


def test_the_markdown_table_is_whole_and_escaped():
    lines = markdown_table(make_result()).splitlines()
    assert "points \\| lines" in lines[0]
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {5}
    assert lines[-1] == "- observation, **does not hold**: below &lt;1>"


def test_the_applications_table_has_a_row_each_and_links_what_is_ready():
    lines = applications_table().splitlines()
    assert len(lines) == 2 + len(APPLICATIONS)
    for row, line in zip(APPLICATIONS, lines[2:], strict=True):
        assert row.model_name in line
        assert (f"(applications/{row.task}/README.md)" in line) == (row.state == "ready")
        assert ("Planned" in line) == (row.state != "ready")


def test_tables_are_made_between_the_markers(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps([make_result(), make_result(corpus="digits")]))
    text = (
        "# Title\n<!-- claim:START results.json -->\nOUTDATED\n<!-- claim:END -->\nbetween\n"
        "<!-- applications:START -->\n<!-- applications:END -->\nend\n"
    )
    new = renewed(text, tmp_path)
    assert "OUTDATED" not in new
    assert re.search("points.*digits.*between.*SECLA.*end", new, re.DOTALL)
    assert renewed(new, tmp_path) == new


def test_broken_markers_are_reported(tmp_path):
    with pytest.raises(ValueError, match="no END marker"):
        renewed("<!-- claim:START results.json -->\n", tmp_path)
    with pytest.raises(ValueError, match="must name a JSON file"):
        renewed("<!-- claim:START -->\n<!-- claim:END -->\n", tmp_path)
    with pytest.raises(ValueError, match=r"cannot read the results nothing\.json"):
        renewed("<!-- claim:START nothing.json -->\n<!-- claim:END -->\n", tmp_path)


def test_stale_readmes_are_found(tmp_path):
    application = tmp_path / "applications" / "face_naming"
    application.mkdir(parents=True)
    (application / "results.json").write_text(json.dumps([make_result()]))
    marked = "<!-- claim:START results.json -->\n<!-- claim:END -->\n"
    (application / "README.md").write_text(marked)
    (tmp_path / "README.md").write_text("no table\n")
    stale = stale_readmes(tmp_path)
    assert list(stale) == [application / "README.md"]
    (application / "README.md").write_text(stale[application / "README.md"])
    assert stale_readmes(tmp_path) == {}


def test_the_tables_of_this_project_are_up_to_date():
    assert stale_readmes(ROOT) == {}, "run `contrast tables`"


@pytest.mark.parametrize("row", READY, ids=lambda row: row.task)
def test_ready_applications_show_measured_results(row):
    folder = ROOT / "applications" / row.task
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "<!-- claim:START " in text
    assert "fast: it shows" not in text
