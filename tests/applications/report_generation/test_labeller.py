import numpy as np
import pytest

from applications.report_generation import labeller
from applications.report_generation.baselines import (
    all_normal_report,
    copy_prior_facts,
    copy_prior_text,
    with_prior_report,
)
from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.findings import FINDINGS, LABELS, changes
from applications.report_generation.study import Study, View

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def written():
    """Record, record before, report and facts of some thousand visits."""
    visits = []
    for patient in RadiographWorld(seed=3).patients(900):
        before = None
        for visit in patient.visits:
            visits.append((visit.record, before, visit.report, ". ".join(visit.facts)))
            before = visit.record
    return visits


def test_no_error_in_thousands_of_reports(written):
    assert len(written) > 2100
    stated = set()
    for record, before, text, facts in written:
        for said in (text, facts):
            assert labeller.labels(said).tolist() == record.labels().tolist(), said
            assert labeller.progression(said) == changes(record, before), said
            mentions = labeller.mentions(said)
            for name in FINDINGS:
                if record[name].severity:
                    finding = record[name]
                    assert mentions[name].severity == finding.severity, said
                    assert mentions[name][2:] == (finding.side, finding.height, finding.depth), said
                else:
                    assert name not in mentions or mentions[name].severity == 0, said
        stated |= set(changes(record, before).items())
    assert len(stated) == 9 * 5 - 2  # a device is never worse nor better


def test_wording_does_not_change_the_triples(written):
    for _, _, text, facts in written:
        assert labeller.triples(text) == labeller.triples(facts)
    sizes = [len(labeller.triples(text)) for _, _, text, _ in written]
    assert min(sizes) >= 5 and max(sizes) > 25


def test_labels_of_texts_of_a_model():
    def names(text):
        return [name for name, label in zip(LABELS, labeller.labels(text), strict=True) if label]

    assert names("") == names("of the of the") == []
    assert names(all_normal_report()) == names("no pneumothorax.") == ["no finding"]
    assert names("Bilateral pleural effusions.\nNo consolidation;") == [
        "left pleural effusion",
        "right pleural effusion",
    ]
    assert names("left and right effusion") == names("bilateral effusions")
    assert names("pleural effusion is seen") == ["no finding"]  # on no side
    assert names("large nodule. no nodule") == names("no nodule. large nodule") == ["nodule"]
    assert names("left chest port in place") == ["device", "no finding"]
    assert names("small right sided pneumothorax, similar to prior") == ["pneumothorax"]


def test_progression_of_texts_of_a_model():
    assert labeller.progression(all_normal_report()) == {}
    assert labeller.progression("small left effusion, unchanged. no left effusion") == {
        "left pleural effusion": "same"
    }
    assert labeller.progression("bilateral pleural effusions, worsened. nodule is no longer seen.") == {
        "left pleural effusion": "worse",
        "right pleural effusion": "worse",
        "nodule": "gone",
    }


def test_triples_follow_the_text():
    normal = labeller.triples(all_normal_report())
    assert ("pneumothorax", "OBS-DA", False) in normal and ("clear", "OBS-DP", True) in normal
    assert ("effusion", "OBS-DA", True) in normal
    seen = labeller.triples("left port catheter")
    assert seen == {("device", "OBS-DP", True), ("left", "ANAT-DP", True)}
    assert labeller.triples("") == set()


def scores(studies, texts):
    """Clinical micro F1, and progression F1 of the studies with a visit before."""
    truth = np.stack([study.truth.record.labels() for study in studies])
    labels = np.stack([labeller.labels(text) for text in texts])
    right = stated = true = 0
    for study, text in zip(studies, texts, strict=True):
        if study.prior is not None:
            said = set(labeller.progression(text).items())
            befell = set(changes(study.truth.record, study.truth.previous).items())
            right, stated, true = right + len(said & befell), stated + len(said), true + len(befell)
    return 2 * (truth * labels).sum() / (truth.sum() + labels.sum()), 2 * right / max(stated + true, 1)


def test_baselines():
    given = RadiographWorld(seed=0, size=4).studies(200, "test")
    full = [with_prior_report(study) for study in given]
    assert scores(given, [all_normal_report()] * len(given)) == (pytest.approx(0.06, abs=0.03), 0)
    copied, facts = ([copy(study) for study in full] for copy in (copy_prior_text, copy_prior_facts))
    assert scores(full, copied) == (pytest.approx(0.61, abs=0.04), pytest.approx(0.22, abs=0.06))
    assert scores(full, facts) == (pytest.approx(0.61, abs=0.04), pytest.approx(0.58, abs=0.05))
    where_given = scores(given, [copy_prior_text(study) for study in given])
    assert where_given[0] == pytest.approx(0.45, abs=0.05)
    first, later = (next(one for one in given if (one.prior is None) is none) for none in (True, False))
    assert copy_prior_text(first) == copy_prior_facts(first) == all_normal_report()
    assert with_prior_report(first) is first and with_prior_report(later).prior.findings
    with pytest.raises(ValueError, match="'1' must be rendered"):
        with_prior_report(Study("1", "a", (View(np.zeros((4, 4))),)))


def test_copied_facts_state_no_change_but_unchanged():
    studies = map(with_prior_report, RadiographWorld(seed=1, size=2).studies(150, "test"))
    for study in studies:
        text = copy_prior_facts(study)
        progression = labeller.progression(text)
        assert set(progression.values()) <= {"same"}
        if study.prior is not None:
            assert list(progression) == [name for name in FINDINGS if study.truth.previous[name].severity]
