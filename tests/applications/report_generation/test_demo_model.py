from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sklearn")
pytest.importorskip("pycocoevalcap")

from applications.report_generation import demo_model
from applications.report_generation.demo_model import BASELINES, METRICS, WITHHELD, load_or_train
from applications.report_generation.retrieval import embed_facts, embed_studies
from applications.report_generation.stages import Stages, new_model
from tests.case import to_numpy
from tests.demos.chests import untrained

pytestmark = pytest.mark.once

SMALL = {"patients": 4, "held_out": 3, "pair_epochs": 1, "epochs": 2}
HISTORY = {
    "alignment_loss": [1.0],
    "view_loss": [2.0],
    "loss": [3.0, 2.0],
    "val_ce_f1": [0.0, 0.5],
    "val_bleu_4": [0.0, 0.1],
}


@pytest.fixture
def quick(monkeypatch):
    """Stages that are not trained, and how often they were asked for."""
    asked = []

    def fit_stages(studies, tokenizer, encoder, architecture, **options):
        asked.append((len({study.patient for study in studies}), options["second"].epochs))
        first = new_model(demo_model.MLRGPretraining(architecture))
        model = new_model(demo_model.MLRG(architecture, tokenizer, encoder))
        first.history = model.history = SimpleNamespace(history=HISTORY)
        return Stages(first, model, None)

    def measured(first, model, test):
        pairs = {name: HISTORY[name] for name in demo_model.PAIR_CURVES} | {
            name: [0.5] for name in demo_model.RECALLS
        }
        columns = {name: list(range(len(WITHHELD))) for name in METRICS}
        return [pairs, {name: HISTORY[name] for name in demo_model.CURVES} | columns]

    monkeypatch.setattr(demo_model, "fit_stages", fit_stages)
    monkeypatch.setattr(demo_model, "fit_image_encoder", lambda studies, encoder, **_: encoder)
    monkeypatch.setattr(demo_model, "_measured", measured)
    return asked


def test_a_second_start_takes_the_same_models_from_the_cache(tmp_path, quick):
    options = {**SMALL, "folder": tmp_path}
    first, second = load_or_train(**options), load_or_train(**options)
    assert quick == [(4, 2)]
    for part in ("model", "first"):
        for ours, theirs in zip(getattr(first, part).weights, getattr(second, part).weights, strict=True):
            np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))
    np.testing.assert_array_equal(first.features.tokens, second.features.tokens)
    assert second.history == first.history == HISTORY
    assert second.recall == {"recall_at_1": 0.5, "recall_at_5": 0.5}
    assert [row["ce_f1"] for row in second.scores.values()] == list(range(len(WITHHELD)))
    assert set(second.baselines) == set(BASELINES)
    load_or_train(**{**options, "epochs": 3})
    assert len(quick) == 2


@pytest.mark.parametrize("part", ["pairs", "reports"])
def test_half_a_cache_is_trained_again(tmp_path, quick, part):
    options = {**SMALL, "folder": tmp_path}
    load_or_train(**options)
    (weights,) = tmp_path.glob(f"report_generation_{part}-*.weights.h5")
    weights.write_bytes(weights.read_bytes()[:-10])
    load_or_train(**options)
    assert len(quick) == 2


def test_facts_alone_have_the_vectors_that_they_have_beside_images():
    model = untrained(3)
    tokenizer = model.model.tokenizer
    beside = embed_studies(model.first, model.held_out, model.features, tokenizer).texts
    alone = embed_facts(model.first, [study.facts for study in model.held_out], tokenizer)
    np.testing.assert_allclose(alone, beside, atol=1e-5)
    with pytest.raises(ValueError, match="at least one fact"):
        embed_facts(model.first, [()], tokenizer)


@pytest.mark.slow
def test_all_stages_are_trained_and_scored(tmp_path, capsys):
    model = load_or_train(**SMALL, folder=tmp_path)
    assert [len(model.history[name]) for name in ("alignment_loss", "loss", "val_ce_f1")] == [1, 2, 2]
    assert set(model.scores) == set(WITHHELD)
    assert all(np.isfinite(value) for row in model.scores.values() for value in row.values())
    assert "stage 2, reports" in capsys.readouterr().err
