import numpy as np
import pytest

from applications.sign_translation import evaluation
from applications.sign_translation.evaluation import (
    coco_scores,
    random_sentences,
    sacrebleu_scores,
    shuffled_references,
    template_oracle,
    translation_scores,
    video_to_text_recall,
)
from applications.sign_translation.grammar import wordings
from applications.sign_translation.meaning import draw_record

REFERENCES = [wordings(draw_record(np.random.default_rng(seed))) for seed in range(60)]


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


def test_any_wording_is_right():
    for wording in range(4):
        scores = translation_scores([of[wording] for of in REFERENCES], REFERENCES)
        for name in ("bleu_1", "bleu_4", "coco_bleu_1", "coco_bleu_4", "rouge_l"):
            assert scores[name] == pytest.approx(100)
        assert scores["shuffled_bleu_4"] < 40


def test_shuffled_videos_and_random_sentences_score_alike():
    others = shuffled_references(REFERENCES, seed=1)
    assert sorted(others) == sorted(map(tuple, REFERENCES))
    assert all(other != of for other, of in zip(others, REFERENCES, strict=True))
    assert others == shuffled_references(REFERENCES, seed=1) != shuffled_references(REFERENCES, seed=2)
    floor = sacrebleu_scores(random_sentences(REFERENCES), REFERENCES)["bleu_4"]
    control = translation_scores([of[0] for of in REFERENCES], REFERENCES)["shuffled_bleu_4"]
    assert 5 < floor < 40 and abs(floor - control) < 10


def test_oracle_of_one_wording_lies_between_floor_and_all_wordings():
    found, right = template_oracle(REFERENCES)
    assert all(one in of for one, of in zip(found, REFERENCES, strict=True))
    assert all(len(one) == 1 and one[0] in of for one, of in zip(right, REFERENCES, strict=True))
    single = sacrebleu_scores(found, right)["bleu_4"]
    assert sacrebleu_scores(random_sentences(REFERENCES), right)["bleu_4"] < single < 80
    assert sacrebleu_scores(found, REFERENCES)["bleu_4"] == pytest.approx(100)


def test_clips_may_have_different_numbers_of_references():
    scores = translation_scores(["a b c d e", "f g h i"], [["a b c d e", "z"], ["f g h i"]])
    assert scores["bleu_4"] == pytest.approx(100)


def test_empty_translations_count_as_wrong():
    found = ["", *(of[0] for of in REFERENCES[1:])]
    whole = coco_scores([of[0] for of in REFERENCES], REFERENCES)
    scores = coco_scores(found, REFERENCES)
    assert scores["rouge_l"] == pytest.approx(whole["rouge_l"] * 59 / 60)
    assert coco_scores([""], [["rain"]])["rouge_l"] == 0
    assert sacrebleu_scores([""], [["rain"]])["bleu_4"] == 0


def test_recall_counts_equal_sentences_as_right():
    vectors = np.eye(6, dtype="float32")
    swapped = vectors[[1, 0, 2, 3, 4, 5]] + 0.5 * vectors
    found = video_to_text_recall(vectors, swapped, ks=(1, 2))
    assert found == {"recall_at_1": pytest.approx(4 / 6), "recall_at_2": 1.0}
    texts = ["fog", "fog", "rain", "snow", "hail", "wind"]
    assert video_to_text_recall(vectors, swapped, texts, ks=(1,)) == {"recall_at_1": 1.0}


def test_wrong_arguments(monkeypatch):
    with pytest.raises(ValueError, match="same clips, at least one, got 2 and 1"):
        sacrebleu_scores(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="got 0 and 0"):
        coco_scores([], [])
    with pytest.raises(ValueError, match="got none for clip 1"):
        sacrebleu_scores(["a", "b"], [["a"], []])
    with pytest.raises(TypeError, match="list of lists"):
        sacrebleu_scores(["a"], ["a"])
    with pytest.raises(ValueError, match="at least two clips to be shuffled, got 1"):
        translation_scores(["a"], [["a"]])
    monkeypatch.setattr(
        evaluation.check_packages.__globals__["importlib"].util, "find_spec", lambda name: None
    )
    with pytest.raises(ModuleNotFoundError, match="sacrebleu is not installed: pip install"):
        sacrebleu_scores(["a"], [["a"]])
