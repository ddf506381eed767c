import dataclasses
import inspect

import pytest

from applications import registry
from applications.registry import APPLICATIONS, Application, find, load

READY = [row for row in APPLICATIONS if row.state == "ready"]
PLANNED = [row for row in APPLICATIONS if row.state != "ready"]


def ids(row):
    return f"{row.task}-{row.paper}"


def test_the_flagships_are_there_once():
    rows = [(row.task, row.paper, row.model_name) for row in APPLICATIONS]
    assert len(set(rows)) == len(rows)
    assert {
        ("face_naming", "secla", "SECLA"),
        ("face_naming", "secla_b", "SECLAB"),
        ("anomaly_detection", "unicon_ha", "UniConHA"),
        ("sign_translation", "gfslt_vlp", "GFSLTVLP"),
        ("report_generation", "mlrg", "MLRG"),
    } <= set(rows)


@pytest.mark.parametrize("row", APPLICATIONS, ids=ids)
def test_every_row_tells_a_user_what_it_is(row):
    assert row.state in ("ready", "planned")
    assert all((row.title, row.modality, row.summary))
    assert row.summary.endswith(".")
    assert row.task.isidentifier()
    assert row.paper.isidentifier()


@pytest.mark.parametrize("row", PLANNED, ids=ids)
def test_what_is_planned_has_no_parts(row):
    assert (row.model, row.train, row.claims, row.demo) == (None,) * 4


@pytest.mark.smoke
@pytest.mark.parametrize("row", READY, ids=ids)
def test_paths_of_ready_rows_lead_to_their_parts(row):
    assert load(row.model).__name__ == row.model_name
    parameters = inspect.signature(load(row.train)).parameters
    assert list(parameters) == ["run", "data", "seed", "epochs"]
    claims = load(row.claims)()
    assert claims
    sharing = {(other.task, other.paper) for other in READY if other.claims == row.claims}
    assert {other.task for other in READY if other.claims == row.claims} == {row.task}
    assert {(claim.task, claim.paper) for claim in claims} <= sharing
    assert row.demo is None or callable(load(row.demo))


def test_find_takes_the_first_paper_or_the_named_one(monkeypatch):
    first = find("face_naming")
    second = dataclasses.replace(first, paper="other")
    monkeypatch.setattr(registry, "APPLICATIONS", (first, second))
    assert find("face_naming") is first
    assert find("face_naming", "other") is second


def test_unknown_names_are_answered_with_what_there_is():
    with pytest.raises(ValueError, match="Did you mean 'face_naming'") as error:
        find("face-namin")
    assert "report_generation" in str(error.value)
    with pytest.raises(ValueError, match="paper of face_naming: 'clip'.* secla"):
        find("face_naming", "clip")
    with pytest.raises(ValueError, match="Unknown task: 'qqqq'. There is: face_naming"):
        find("qqqq")


def test_load_resolves_and_explains():
    assert load("applications.registry:Application") is Application
    with pytest.raises(ValueError, match="'module:attribute'"):
        load("applications.registry")
    with pytest.raises(ValueError, match="no attribute 'Nothing'"):
        load("applications.registry:Nothing")
