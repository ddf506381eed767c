import pytest

from applications import environment
from applications.text_scores import coco_scores, sacrebleu_scores

pytestmark = pytest.mark.once


def sentences(ids):
    return [" ".join(str(word) for word in row if word >= 0) for row in ids]


@pytest.mark.golden
def test_bleu_and_rouge_match_the_official_numbers(golden):
    case = golden("sign_translation")
    found, right = sentences(case["bleu_hyp"]), [[one] for one in sentences(case["bleu_ref"])]
    scores = {**sacrebleu_scores(found, right), **coco_scores(found, right)}
    for order in (1, 2, 3, 4):
        assert scores[f"bleu_{order}"] == pytest.approx(case["bleu_sacrebleu"][order - 1], abs=1e-4)
        assert scores[f"coco_bleu_{order}"] == pytest.approx(case["bleu_coco"][order - 1], abs=1e-4)
    assert scores["brevity_penalty"] == pytest.approx(case["bleu_brevity"], abs=1e-6)
    assert scores["rouge_l"] == pytest.approx(case["rougel_coco"], abs=1e-4)


def test_texts_may_have_different_numbers_of_references():
    texts, references = ["a b c d e", "f g h i"], [["a b c d e", "z"], ["f g h i"]]
    assert sacrebleu_scores(texts, references)["bleu_4"] == pytest.approx(100)
    assert coco_scores(texts, references)["coco_bleu_4"] == pytest.approx(100)


def test_empty_texts_count_as_wrong():
    references = [["a b c d e"], ["f g h i"], ["k l m n o"]]
    whole = coco_scores([of[0] for of in references], references)
    scores = coco_scores(["", "f g h i", "k l m n o"], references)
    assert whole["rouge_l"] == pytest.approx(100)
    assert scores["rouge_l"] == pytest.approx(100 * 2 / 3)
    assert scores["coco_bleu_1"] < whole["coco_bleu_1"]
    assert coco_scores([""], [["rain"]])["rouge_l"] == 0
    assert sacrebleu_scores([""], [["rain"]])["bleu_4"] == 0


def test_wrong_arguments(monkeypatch):
    with pytest.raises(ValueError, match="same number, at least one, got 2 and 1"):
        sacrebleu_scores(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="got 0 and 0"):
        coco_scores([], [])
    with pytest.raises(ValueError, match=r"got none for texts\[1\]"):
        sacrebleu_scores(["a", "b"], [["a"], []])
    with pytest.raises(TypeError, match="list of lists"):
        sacrebleu_scores(["a"], ["a"])
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="sacrebleu is not installed: pip install"):
        sacrebleu_scores(["a"], [["a"]])
