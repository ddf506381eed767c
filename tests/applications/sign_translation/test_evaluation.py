import numpy as np
import pytest

from applications.sign_translation.evaluation import (
    random_sentences,
    shuffled_references,
    template_oracle,
    translation_scores,
    video_to_text_recall,
)
from applications.sign_translation.grammar import wordings
from applications.sign_translation.meaning import draw_record
from applications.text_scores import sacrebleu_scores

pytestmark = pytest.mark.once

REFERENCES = [wordings(draw_record(np.random.default_rng(seed))) for seed in range(60)]


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


def test_recall_counts_equal_sentences_as_right():
    vectors = np.eye(6, dtype="float32")
    swapped = vectors[[1, 0, 2, 3, 4, 5]] + 0.5 * vectors
    found = video_to_text_recall(vectors, swapped, ks=(1, 2))
    assert found == {"recall_at_1": pytest.approx(4 / 6), "recall_at_2": 1.0}
    texts = ["fog", "fog", "rain", "snow", "hail", "wind"]
    assert video_to_text_recall(vectors, swapped, texts, ks=(1,)) == {"recall_at_1": 1.0}


def test_wrong_arguments():
    with pytest.raises(ValueError, match="at least two clips to be shuffled, got 1"):
        translation_scores(["a"], [["a"]])
