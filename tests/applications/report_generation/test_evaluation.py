import numpy as np
import pytest

from applications.report_generation.evaluation import (
    RULES,
    Labeller,
    clinical_scores,
    entity_scores,
    progression_scores,
    report_scores,
    scored_text,
)
from applications.text_scores import coco_scores

pytestmark = pytest.mark.once

NORMAL = "the lungs are clear. no pleural effusion or pneumothorax."
REFERENCES = [
    "small left pleural effusion, increased from prior. no pneumothorax.",
    NORMAL,
    "mild cardiomegaly, unchanged. the lungs are clear.",
]
FIVE = [1, 4, 5, 7, 9]


@pytest.mark.golden
def test_clinical_scores_match_the_official_numbers(golden):
    case = golden("report_generation")
    found, right = case["ce_hyp"], case["ce_ref"]
    for scores, name in (
        (clinical_scores(found, right), "14"),
        (clinical_scores(found[:, FIVE], right[:, FIVE]), "5"),
    ):
        for prefix, average in (("", "micro"), ("macro_", "macro")):
            mine = [scores[prefix + part] for part in ("precision", "recall", "f1")]
            np.testing.assert_allclose(mine, case[f"ce_{average}{name}"], atol=1e-6)
    assert scores["exact"] == pytest.approx(case["ce_exact5"])


@pytest.mark.golden
def test_entity_scores_match_the_official_numbers(golden):
    case = golden("report_generation")

    def entities(reports):
        return [{tuple(row) for row in report.tolist() if row[0] >= 0} for report in reports]

    scores = entity_scores(entities(case["rg_hyp"]), entities(case["rg_ref"]))
    np.testing.assert_allclose(scores, case["rg_scores"], atol=1e-6)
    assert scores.mean() == pytest.approx(case["rg_mean"])


def test_right_reports_have_full_scores():
    scores = report_scores(REFERENCES, REFERENCES)
    for name, score in scores.items():
        if "macro" not in name:  # classes that never occur count as 0 there
            assert score == pytest.approx(1), name
    assert {"bleu_1", "bleu_4", "rouge_l", "ce_f1", "ce14_macro_f1", "ce5_exact"} <= scores.keys()
    assert all(isinstance(score, float) for score in scores.values())


def test_normal_reports_share_words_but_no_findings():
    scores = report_scores([NORMAL] * 3, REFERENCES)
    assert scores["bleu_1"] > 0.3
    assert scores["ce_f1"] == pytest.approx(1 / 3)  # one of three is normal
    assert scores["ce5_f1"] == scores["progression_f1"] == 0
    assert 0 < scores["entity_f1"] < 1


def test_changes_are_scored_where_there_is_a_prior_visit():
    reports = [REFERENCES[0], "left effusion, increased. no pneumothorax.", REFERENCES[2]]
    assert report_scores(reports, REFERENCES)["progression_f1"] == pytest.approx(4 / 5)
    kept = report_scores(reports, REFERENCES, with_prior=[True, False, True])
    assert kept["progression_f1"] == kept["progression_precision"] == 1
    assert report_scores(reports, REFERENCES, with_prior=[False] * 3)["progression_f1"] == 0


def test_progression_counts_findings_and_changes():
    found = [{"nodule": "same", "device": "new"}, {}]
    right = [{"nodule": "worse", "device": "new"}, {"nodule": "gone"}]
    scores = progression_scores(found, right)
    assert scores == {"precision": 0.5, "recall": pytest.approx(1 / 3), "f1": pytest.approx(0.4)}


def test_texts_are_lower_case_with_full_stops_as_words():
    assert scored_text("No effusion.\nHeart normal.") == "no effusion . heart normal ."
    scores = report_scores(["Mild Cardiomegaly."], ["mild cardiomegaly ."], Labeller())
    assert scores["bleu_2"] == pytest.approx(1, abs=1e-6)
    apart = coco_scores(["mild cardiomegaly ."], [["mild cardiomegaly ."]])
    assert scores["bleu_4"] == pytest.approx(apart["coco_bleu_4"] / 100)


def test_other_labellers_take_the_place_of_the_rules():
    def fourteen(text):
        return np.eye(14, dtype=int)[5 if "consolidation" in text else 13]

    reports, references = ["consolidation", "clear"], ["consolidation", "consolidation"]
    scores = report_scores(reports, references, Labeller(labels=fourteen))
    assert scores["ce_f1"] == scores["ce14_f1"] == pytest.approx(0.5)
    assert scores["ce5_f1"] == pytest.approx(2 / 3)
    assert "entity_f1" not in scores and "progression_f1" not in scores
    seven = report_scores(reports, references, Labeller(labels=lambda text: np.ones(7, int)))
    assert seven["ce_f1"] == 1 and "ce14_f1" not in seven
    words = report_scores(reports, references, Labeller(triples=lambda text: set(text.split())))
    assert words["entity_f1"] == 0.5
    assert RULES.labels is not None


def test_one_class_is_scored_by_its_ones():
    scores = clinical_scores(np.array([[1], [1], [0], [0]]), np.array([[1], [0], [0], [0]]))
    assert scores["precision"] == scores["macro_precision"] == 0.5
    assert scores["recall"] == 1 and scores["exact"] == 0.75


def test_nothing_found_is_zero():
    zeros = np.zeros((2, 3), int)
    assert clinical_scores(zeros, zeros)["f1"] == 0
    assert entity_scores([set()], [set()]).tolist() == [0]
    empty = report_scores([""], ["mild cardiomegaly."])
    assert empty["ce_f1"] == empty["bleu_1"] == empty["entity_f1"] == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: clinical_scores(np.zeros((2, 3)), np.zeros((2, 4))), ValueError, r"\(2, 3\) and \(2, 4\)"),
        (lambda: clinical_scores(np.zeros((0, 3)), np.zeros((0, 3))), ValueError, r"got shapes \(0, 3\)"),
        (lambda: clinical_scores(np.full((1, 1), 2), np.ones((1, 1))), ValueError, "0 and 1 only"),
        (lambda: entity_scores([set()], []), ValueError, "same reports, got 1 and 0"),
        (lambda: progression_scores([], [{}]), ValueError, "same reports, got 0 and 1"),
        (lambda: report_scores([], []), ValueError, "at least one, got 0 and 0"),
        (lambda: report_scores(["a"], [""]), ValueError, r"got none for texts\[0\]"),
        (lambda: report_scores(["a"], "a"), TypeError, "references must be a list of strings"),
        (lambda: report_scores(["a"], ["a"], with_prior=[]), ValueError, "each of 1 studies, got 0"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
