import keras
import numpy as np
import pytest

from applications.report_generation import claim_parts, training
from applications.report_generation.callbacks import ReportScores
from applications.report_generation.claim_parts import FAST, Setting, seed_corpus, seed_first_stage
from applications.report_generation.mlrg import MLRG
from applications.report_generation.mlrg_claim import BOTH, EMPTY, NO_PRIOR, SECOND, claims
from applications.report_generation.recipes import PretrainingRecipe, ReportRecipe, plateau_callbacks
from applications.report_generation.stages import fit_stages
from applications.report_generation.study import Study
from applications.runs import RunFolder
from tests.applications.report_generation.tiny import FEATURES, STUDIES, TINY, TOKENIZER, view
from tests.case import to_numpy

FIRST = PretrainingRecipe.small(2, batch_size=4, warmup_steps=0)
SECOND_STAGE = ReportRecipe.small(2, batch_size=4, warmup_steps=0)


def fit(**options):
    keras.utils.set_random_seed(0)
    options = {"features": FEATURES, "first": FIRST, "second": SECOND_STAGE, "verbose": 0, **options}
    return fit_stages(STUDIES, TOKENIZER, None, TINY, **options)


@pytest.mark.once
def test_recipe_of_the_paper_watches_other_patients():
    held_out = [
        Study(f"other {study.id}", f"other {study.patient}", study.views, study.findings, study.facts)
        for study in STUDIES[:3]
    ]
    stages = fit(
        first=PretrainingRecipe(batch_size=4, epochs=1),
        second=ReportRecipe(batch_size=4, epochs=1),
        validation=held_out,
    )
    assert {"val_loss", "learning_rate"} <= set(stages.first.history.history)
    history = stages.model.history.history
    rates = sorted(history[name][0] for name in history if name.startswith("learning_rate"))
    np.testing.assert_allclose(rates, [5e-6, 5e-5], rtol=1e-5)


@pytest.mark.once
def test_second_stage_goes_on_from_the_first():
    stages = fit(second=ReportRecipe.small(1, learning_rate=0.0, warmup_steps=0, batch_size=4))
    kernel = "times"
    np.testing.assert_array_equal(
        to_numpy(getattr(stages.model.image_side, kernel)), to_numpy(getattr(stages.first.image_side, kernel))
    )
    assert fit(pretrain=False).first is None


def run_folder(path):
    run = RunFolder(path)
    run.write_config("report_generation", "mlrg", 0, keras.backend.backend(), {})
    return run


@pytest.mark.once
def test_interrupted_run_goes_on(tmp_path):
    """A run that stopped between the stages comes to the same weights as an unbroken one."""
    whole = fit(run=run_folder(tmp_path / "whole"))

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(run=run_folder(tmp_path / "broken"), callbacks=[Stop()])
    resumed = fit(run=RunFolder(tmp_path / "broken", resume=True))
    for ours, theirs in zip(resumed.model.weights, whole.model.weights, strict=True):
        np.testing.assert_allclose(to_numpy(ours), to_numpy(theirs), atol=1e-6)


@pytest.mark.once
def test_scores_of_reports_enter_the_history():
    def scores(reports, references):
        assert len(reports) == len(references) == 3
        return {"words": float(len(reports[0].split())), "other": 2.0}

    watch = ReportScores(STUDIES[:3], FEATURES, scores, ("words", "other"), every=2)
    model = fit(callbacks=[watch]).model
    history = model.history.history
    assert history["val_other"] == [0.0, 2.0] and len(watch.measured) == 1
    assert history["val_score"][1] == history["val_words"][1] + 2
    resumed, log = ReportScores(STUDIES[:3], FEATURES, scores, ("words", "other"), every=2), {}
    resumed.set_model(model)
    resumed.on_epoch_end(2, log)
    assert log == {name: history[name][1] for name in ("val_words", "val_other", "val_score")}


@pytest.mark.parametrize(
    ("studies", "words"),
    [
        ([], "at least one"),
        ([Study("empty", "a", (view("0 PA"),), " ", ("x",))], "empty"),
        ([Study("silent", "a", (view("0 PA"),), "x.")], "silent"),
        (STUDIES[:1], "at least two in stage 1"),
    ],
)
def test_refused(studies, words):
    with pytest.raises(ValueError, match=words):
        fit_stages(studies, TOKENIZER, None, TINY, features=FEATURES, first=FIRST)


def test_an_unknown_absence_is_refused_before_stage_one():
    class Untouched:
        def fit(self, *args, **options):
            raise AssertionError("stage 1 was begun")

    with pytest.raises(ValueError, match="tokens, empty, got 'zeros'"):
        fit(absence="zeros", run=Untouched())
    with pytest.raises(ValueError, match="tokens, empty, got 'zeros'"):
        MLRG(TINY, absence="zeros")


def test_a_rate_on_a_schedule_is_not_to_be_lowered():
    """Keras would raise a TypeError in the middle of the training, at the first plateau."""
    with pytest.raises(ValueError, match="patience must be None with warmup_steps=10, got 5"):
        plateau_callbacks(PretrainingRecipe(warmup_steps=10), "val_loss", "min")


def test_patients_in_two_splits_are_refused():
    with pytest.raises(ValueError, match="patient 0"):
        fit(validation=STUDIES[:1])


def test_folders_of_users(tmp_path):
    from PIL import Image

    rows = ["patient,study,image,position,findings,order"]
    for number in range(20):
        Image.new("L", (20, 30), 10 * number).save(tmp_path / f"{number}.png")
        rows.append(f"p{number // 2},s{number},{number}.png,PA,The lungs are clear {number}.,{number % 2}")
    (tmp_path / "studies.csv").write_text("\n".join(rows))
    found = training.training_studies(tmp_path)
    assert len(found.train) == 18 and len(found.held_out) == 2
    assert not {study.patient for study in found.train} & {study.patient for study in found.held_out}
    assert found.train[1].prior is not None
    with pytest.raises(ValueError, match="folders p"):
        training.training_studies(tmp_path / "nothing")


@pytest.mark.once
def test_rates_follow_the_scores_of_reports():
    watch = ReportScores(STUDIES[:3], FEATURES, lambda found, right: {"same": 1.0}, ("same",))
    recipe = ReportRecipe.small(4, learning_rate=1e-2, warmup_steps=0, batch_size=8, patience=1, stop_after=3)
    history = fit(callbacks=[watch], second=recipe, pretrain=False).model.history.history
    np.testing.assert_allclose(history["learning_rate"], [1e-2, 1e-2, 1e-3, 1e-4], rtol=1e-5)


@pytest.mark.once
def test_trained_from_a_folder_and_resumed(tmp_path, monkeypatch):
    """What `contrast train` does, on the images of a table, with an interruption in the last stage."""
    from PIL import Image

    monkeypatch.setattr(training, "REAL", (32, 32))
    rows = ["patient,study,image,position,indication,findings,order"]
    for number in range(24):
        noise = np.random.default_rng(number).integers(0, 256, (40, 30), dtype="uint8")
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
        text = "The lungs are clear." if number % 3 else "Small effusion."
        rows.append(f"p{number // 2},s{number},{number}.png,PA,cough,{text},{number % 2}")
    (tmp_path / "studies.csv").write_text("\n".join(rows))
    run = run_folder(tmp_path / "run")
    model = training.train(run, data=tmp_path, seed=1, epochs=1)
    assert {"val_ce_f1", "val_bleu_4", "loss"} <= set(model.history.history)
    assert len(model.report([Study("new", "new", (view("0 PA"),))], max_length=4)) == 1
    run.save_model(model)
    loaded = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert loaded.image_encoder.image_size == (32, 32) and loaded.tokenizer == model.tokenizer
    again = training.train(RunFolder(tmp_path / "run", resume=True), data=tmp_path, seed=1, epochs=1)
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_allclose(to_numpy(ours), to_numpy(theirs), atol=1e-6)


@pytest.mark.once
def test_claim(monkeypatch):
    """The arms of the real experiment, on few patients, with next to no epochs."""
    monkeypatch.setattr(claim_parts, "FULL", Setting(4, 2, 6, 4, 1, 1, 1, 1, 1, 6, 12, 12))
    for cached in (seed_corpus, seed_first_stage):
        cached.cache_clear()
    writing, finding = claims()
    arms = {arm.name: arm.run for arm in writing.arms}
    results = [arms[name](seed=0, fast=False) for name in (BOTH, BOTH, NO_PRIOR, EMPTY)]
    for result in results:
        assert set(result.metrics) == set(results[0].metrics) >= {"clinical_f1", "progression_f1", "seconds"}
        assert len(result.curves["loss"]) == 1 and len(result.curves["val_ce_f1_every_1_epochs"]) == 1
    first, again, *others = (result.curves["loss"][0] for result in results)
    assert abs(first - again) < 1e-5 * first, "a result depends on seed and arm alone"
    assert all(abs(first - other) > 1e-5 for other in others)
    assert set(finding.arms[0].run(seed=0, fast=False).metrics) == {"recall_at_1", "recall_at_5"}
    rows = writing.baselines(seeds=[0], fast=False)
    assert rows["all normal"]["progression_f1"] == 0
    assert {*rows["all normal"]} <= {*results[0].metrics}
    for cached in (seed_corpus, seed_first_stage):
        cached.cache_clear()


def test_fast_setting_is_no_experiment():
    assert FAST.train < 50 and FAST.second < 5


def test_check_is_of_the_paper():
    checks = [check for check in claims()[0].checks if check.kind == "claim"]
    for low, high, holds in ((0.4, 0.6, True), (0.6, 0.4, False)):
        arms = {SECOND: {"clinical_f1": {"mean": low}}, BOTH: {"clinical_f1": {"mean": high}}}
        assert [check.holds({"arms": arms}) for check in checks] == [holds]
