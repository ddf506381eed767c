import collections

import numpy as np
import pytest

from applications.report_generation.findings import FINDINGS, Finding, Record, draw_record, next_record
from applications.report_generation.indication import draw_indication
from applications.report_generation.report_grammar import report, statements

pytestmark = pytest.mark.once

FUNCTION_WORDS = {
    "the",
    "a",
    "is",
    "are",
    "there",
    "in",
    "on",
    "at",
    "has",
    "been",
    "of",
    "and",
    "or",
    "with",
}


def record(**findings):
    return Record(tuple(findings.get(name.replace(" ", "_"), Finding()) for name in FINDINGS))


def pairs(count, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        before = draw_record(generator)
        yield next_record(before, generator), before


def test_a_report_in_full():
    before = record(
        left_pleural_effusion=Finding(1, "left"),
        nodule=Finding(2, "right", "upper"),
        device=Finding(1, "left"),
    )
    now = record(
        left_pleural_effusion=Finding(2, "left"),
        right_consolidation=Finding(3, "right", "lower", "posterior"),
        cardiomegaly=Finding(1),
    )
    text, facts = report(now, before, wires=True)
    assert text == (
        "left chest port has been removed. "
        "dense posterior consolidation in the right lower lung, new. right nodule has resolved. "
        "moderate left pleural effusion, increased from prior. no pneumothorax. "
        "mild cardiomegaly, new. sternotomy wires are intact."
    )
    assert facts == (
        "left port catheter removed",
        "dense posterior consolidation right lower lung new",
        "right nodule resolved",
        "moderate left pleural effusion increased",
        "no pneumothorax",
        "mild cardiomegaly new",
        "sternotomy wires",
    )
    first, _ = report(now)
    assert "new" not in first and "port" not in first and "moderate left pleural effusion." in first


def test_every_statement_has_three_wordings_and_a_fact_without_function_words():
    for now, before in pairs(300):
        for statement in statements(now, before, wires=bool(now.has("device"))):
            assert len(set(statement.wordings)) == 3
            assert not FUNCTION_WORDS & set(statement.fact.split())
            assert all(one == one.lower().strip() and "." not in one for one in statement.wordings)
            denied = ["no" in one.split() and "longer" not in one for one in statement.wordings]
            if "osseous" not in statement.fact:  # "the bones are unremarkable"
                assert len({*denied, statement.fact.startswith("no ")}) == 1


def test_wordings_are_drawn_evenly_and_apart_from_the_meaning():
    generator = np.random.default_rng(0)
    chosen = collections.Counter()
    for now, before in pairs(300):
        text, facts = report(now, before, generator=generator)
        sentences = text.removesuffix(".").split(". ")
        said = statements(now, before)
        assert len(sentences) == len(facts) == len(said)
        chosen.update(one.wordings.index(sentence) for one, sentence in zip(said, sentences, strict=True))
    assert min(chosen.values()) > 0.9 * max(chosen.values())


def test_different_findings_make_different_reports():
    seen = {}
    for now, before in pairs(800):
        facts = report(now, before)[1]
        compared = tuple(
            (finding, np.sign(finding.severity - old.severity), old.side if not finding.severity else None)
            for finding, old in zip(now.findings, before.findings, strict=True)
        )
        assert seen.setdefault(facts, compared) == compared


def test_indications_hint_at_findings():
    generator = np.random.default_rng(0)
    ill = record(left_consolidation=Finding(1, "left", "upper", "anterior"))
    given = [draw_indication(ill, generator) for _ in range(2000)]
    assert np.mean([one is None for one in given]) == pytest.approx(0.42, abs=0.04)
    given = [one for one in given if one]
    healthy = [one for one in (draw_indication(Record(), generator) for _ in range(2000)) if one]
    assert 0.6 < np.mean(["fever" in one for one in given]) < 0.75
    assert 0.02 < np.mean(["fever" in one for one in healthy]) < 0.15
    port = [draw_indication(record(device=Finding(1, "left")), generator) or "" for _ in range(500)]
    assert np.mean(["line placement" in one for one in port]) > 0.25
    assert all(0 < len(one.split()) <= 11 and one == one.lower() for one in given)
