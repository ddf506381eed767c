import numpy as np
import pytest

from applications.claims import reproduce
from applications.runs import RunFolder
from applications.sign_translation import gfslt_vlp_experiment, training
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.gfslt_vlp_claim import FROZEN, SCRATCH, V1, V2, claims
from applications.sign_translation.gfslt_vlp_experiment import FAST, Setting
from applications.sign_translation.meaning import SPLITS


class FewClips:
    """In place of rendered people: moving dots, a row for each word."""

    def __init__(self, seed=0):
        self.seed = seed

    def clips(self, count, split="train"):
        rng = np.random.default_rng((self.seed, SPLITS.index(split)))
        clips = []
        for _ in range(count):
            words = rng.permutation(["rain", "fog", "sun", "wind", "snow"])[:4]
            frames = rng.integers(0, 40, (14, 8, 8, 1), dtype="uint8")
            for place, word in enumerate(words):
                frames[3 * place : 3 * place + 3, len(word), :] = 255
            joints = rng.normal(size=(14, 2, 2))
            sentence = " ".join(words)
            clips.append(SignedClip(frames, sentence, (sentence, "well " + sentence), joints=joints))
        return clips


@pytest.fixture
def few_clips(monkeypatch):
    monkeypatch.setattr(gfslt_vlp_experiment, "SigningWorld", FewClips)
    monkeypatch.setattr(training, "SigningWorld", FewClips)
    gfslt_vlp_experiment.corpus_of.cache_clear()
    gfslt_vlp_experiment.first_stages.cache_clear()
    yield
    gfslt_vlp_experiment.corpus_of.cache_clear()
    gfslt_vlp_experiment.first_stages.cache_clear()


@pytest.mark.once
def test_claim(few_clips, monkeypatch):
    """The arms of the real experiment, on pixels, with next to no epochs."""
    monkeypatch.setattr(gfslt_vlp_experiment, "FULL", Setting(8, 4, 6, 6, 1, 1, 1, 1, 1, 1, 1))
    translation, retrieval = claims()
    arms = {arm.name: arm.run for arm in translation.arms}
    results = [arms[name](seed=0, fast=False) for name in (V1, V1, FROZEN[V2])]
    names = {"bleu_4", "shuffled_bleu_4", "rouge_l", "beam_bleu_4", "held_out_bleu_4"}
    for result in results:
        assert set(result.metrics) == names
        assert len(result.curves["loss"]) == 1 and len(result.curves["dev_bleu_4_every_1_epochs"]) == 1
    first, again, other = (result.curves["loss"][0] for result in results)
    assert abs(first - again) < 1e-5 * first, "a result depends on seed and arm alone"
    assert abs(first - other) > 1e-3
    result = reproduce(retrieval, seeds=[0], fast=False)
    assert set(result["arms"]) == {"after stage 0", "after stage 1"}
    assert result["baselines"]["chance"]["recall_at_1"] == 1 / 6


def test_fast_setting_is_no_experiment():
    assert FAST.pairs < 50 and FAST.epochs < 5


def test_checks_are_of_the_paper():
    means = {SCRATCH: 41.0, V1: 50.0, V2: 59.0}
    claim = claims()[0]
    checks = [check for check in claim.checks if check.kind == "claim"]
    for low, high, holds in ((SCRATCH, V1, False), (V1, V2, False), (None, None, True)):
        values = dict(means)
        if low:
            values[low], values[high] = values[high], values[low]
        arms = {name: {"bleu_4": {"mean": value}} for name, value in values.items()}
        assert all(check.holds({"arms": arms}) for check in checks) == holds


def test_baselines(few_clips):
    claim = claims()[0]
    found = claim.baselines(seeds=[0], fast=True)
    assert set(found) == {"sentence of another clip", "meaning known, one reference"}
    other, known = found.values()
    assert other["bleu_4"] < known["bleu_4"]
    assert all(0 <= value <= 100 for row in found.values() for value in row.values())


@pytest.mark.slow
def test_train(few_clips, monkeypatch, tmp_path):
    clips = FewClips().clips
    monkeypatch.setattr(FewClips, "clips", lambda self, count, split="train": clips(min(count, 8), split))
    run = RunFolder(tmp_path / "run")
    model = training.train(run, epochs=1)
    assert "val_bleu_4" in model.history.history
    assert {"frames/loss", "pairs/contrast_loss", "translation/val_bleu_4"} <= set(run._history)
    assert isinstance(model.translate(clips(2))[0].sentence, str)


def test_folder_without_clips(tmp_path):
    with pytest.raises(ValueError, match="must hold videos/ and sentences.csv, or labels.train"):
        training.training_clips(tmp_path)
