from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sacrebleu")

from applications.sign_translation import demo_model
from applications.sign_translation.demo_model import SCORES, load_or_train
from applications.sign_translation.retrieval import clip_vectors, sentence_vectors
from applications.sign_translation.stages import Stages
from tests.case import to_numpy
from tests.demos.signing import SmallWorld, untrained

pytestmark = pytest.mark.once

SMALL = {"pairs": 6, "unlabelled": 2, "held_out": 5, "pair_epochs": 1, "epochs": 2}


WORLD = SmallWorld()


@pytest.fixture(scope="module")
def model():
    return untrained()


def test_vectors_depend_on_no_company(model):
    together = clip_vectors(model.first, model.held_out, batch_size=4)
    alone = clip_vectors(model.first, [model.held_out[2].frames])
    np.testing.assert_allclose(together[2], alone[0], atol=1e-5)
    sentences = [clip.sentence for clip in model.held_out]
    texts = sentence_vectors(model.first, model.model.tokenizer, sentences)
    one = sentence_vectors(model.first, model.model.tokenizer, sentences[1:2])
    np.testing.assert_allclose(texts[1], one[0], atol=1e-5)
    for vectors in (together, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.fixture
def quick(monkeypatch):
    """Stages that are not trained, and how often they were asked for."""
    asked = []

    history = {
        "contrast_loss": [1.0],
        "restoration_loss": [2.0],
        "loss": [3.0, 2.0],
        "val_bleu_4": [0, 5],
    }

    def fit_stages(clips, sentences, tokenizer, architecture, **options):
        asked.append((len(clips), len(options["more_clips"]), options["second"].epochs))
        tokens = tokenizer.encode(sentences)
        first = demo_model.new_model(demo_model.VLP(architecture), tokens)
        model = demo_model.new_model(demo_model.GFSLTVLP(architecture, tokenizer), tokens)
        first.history = model.history = SimpleNamespace(history=history)
        return Stages(None, first, model, None)

    monkeypatch.setattr(demo_model, "fit_stages", fit_stages)
    monkeypatch.setattr(demo_model, "_scores", lambda *_: dict.fromkeys(SCORES, 0.5))
    return asked


def test_a_second_start_takes_the_same_models_from_the_cache(tmp_path, quick):
    options = {**SMALL, "folder": tmp_path, "world": WORLD}
    first, second = load_or_train(**options), load_or_train(**options)
    assert quick == [(6, 2, 2)]
    for part in ("model", "first"):
        for ours, theirs in zip(getattr(first, part).weights, getattr(second, part).weights, strict=True):
            np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))
    assert second.history == first.history
    assert set(second.scores) == set(SCORES)
    assert second.every == 1 and len(second.trained_on) == 6
    load_or_train(**{**options, "epochs": 3})
    assert len(quick) == 2


@pytest.mark.parametrize("part", ["pairs", "sentences"])
def test_half_a_cache_is_trained_again(tmp_path, quick, part):
    options = {**SMALL, "folder": tmp_path, "world": WORLD}
    load_or_train(**options)
    (weights,) = tmp_path.glob(f"sign_translation_{part}-*.weights.h5")
    weights.write_bytes(weights.read_bytes()[:-10])
    load_or_train(**options)
    assert len(quick) == 2


@pytest.mark.slow
def test_all_stages_are_trained_and_scored(tmp_path, capsys):
    model = load_or_train(**SMALL, folder=tmp_path, world=WORLD)
    assert [len(model.history[name]) for name in ("contrast_loss", "loss", "val_bleu_4")] == [1, 2, 2]
    assert set(model.scores) == set(SCORES)
    assert all(np.isfinite(value) for value in model.scores.values())
    assert "stage 2, translation" in capsys.readouterr().err
