import keras
import numpy as np
import pytest

from applications.report_generation.batches import StudyBatches
from applications.report_generation.image_encoders import ConvolutionTokens
from applications.report_generation.mlrg import MLRG, READ, transfer_first_stage
from applications.report_generation.recipes import ReportRecipe
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.stages import fit_reports, new_model
from applications.report_generation.study import PARTS, PriorVisit, Study, without
from contrast.transfer import weight_names
from tests.applications.report_generation.tiny import (
    FEATURES,
    STUDIES,
    TINY,
    TOKENIZER,
    WIDTH,
    features_of,
    view,
)
from tests.case import assert_close, to_numpy


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = new_model(MLRG(TINY, TOKENIZER))
    # Far from uniform, so that beams have something to choose from.
    for number, weight in enumerate(model.decoder.weights):
        weight.assign(np.random.default_rng(number).normal(size=weight.shape) * 0.5)
    return model


def batch_of(studies):
    data = StudyBatches(
        studies, FEATURES, TOKENIZER, 8, "first", 4, max_prompt=8, max_length=8, shuffle=False
    )
    return data[0]


def test_every_weight_moves_and_loss_falls():
    model = new_model(MLRG(TINY, TOKENIZER))
    before = {w.path: to_numpy(w) for w in model.trainable_variables}
    recipe = ReportRecipe.small(12, batch_size=8, warmup_steps=0, learning_rate=1e-2)
    fit_reports(model, STUDIES, recipe, features=FEATURES)
    still = [w.path for w in model.trainable_variables if np.array_equal(to_numpy(w), before[w.path])]
    assert not still
    loss = model.history.history["loss"]
    assert loss[-1] < 0.9 * loss[0]


def test_reports_do_not_depend_on_company(model):
    together = model.report(STUDIES[:3], features=FEATURES, batch_size=2)
    for study, found in zip(STUDIES[:3], together, strict=True):
        (alone,) = model.report(study, features=FEATURES)
        assert alone.findings == found.findings
        assert_close(alone.score, np.float32(found.score), 1e-4)
        scores = [score for _, score in found.alternatives]
        assert scores == sorted(scores, reverse=True) and len(scores) == 3
        assert found.attention is None


def test_absent_images_change_nothing(model):
    """What stands in an empty slot is never read, not even NaN."""
    batch = {name: batch_of(STUDIES[:3])[name] for name in READ}
    clean = to_numpy(model.features(batch))
    images = batch["images"].copy()
    images[~batch["present"]] = np.nan
    assert_close(model.features({**batch, "images": images}), clean, 1e-6)


def test_every_part_of_a_study_is_read(model):
    batch = {name: batch_of(STUDIES[5:6])[name] for name in READ}
    full = to_numpy(model.features(batch))
    for part in PARTS:
        rest = batch_of([without(STUDIES[5], [part])])
        assert np.abs(to_numpy(model.features({name: rest[name] for name in READ})) - full).max() > 1e-4, part


def test_attention(model):
    found = model.report(STUDIES[1:3], features=FEATURES, attention=True)
    for report in found:
        assert report.attention.shape == (len(report.tokens), 2 * 3)
        np.testing.assert_allclose(report.attention.sum(axis=1), 1, atol=1e-5)
        assert report.companions.shape == (3, 4, 3)
    np.testing.assert_allclose(found[0].companions.sum(axis=(1, 2)), 1, atol=1e-5)
    assert not found[0].companions[:, 2:].any()


def test_transfer_moves_what_both_stages_have():
    first, model = new_model(MLRGPretraining(TINY)), new_model(MLRG(TINY, TOKENIZER))
    for number, weight in enumerate(first.weights):
        weight.assign(np.random.default_rng(number).normal(size=weight.shape))
    report = transfer_first_stage(first, model)
    ours, theirs = weight_names(model), weight_names(first)
    for row in report.moved:
        np.testing.assert_array_equal(to_numpy(ours[row.target]), to_numpy(theirs[row.source]))
    untouched = set(ours) - {row.target for row in report.moved}
    assert {name.split("/")[0] for name in untouched} == {"stream_norm", "streams", "multimodal_0", "decoder"}


def test_bert_reads_the_texts(tmp_path):
    model = new_model(MLRG(type(TINY)(**{**TINY.to_dict(), "text_encoder": "bert"}), TOKENIZER))
    batch = batch_of(STUDIES[:3])
    model.compile(keras.optimizers.SGD(0.1))
    before = [to_numpy(w) for w in model.text_side.trainable_variables]
    model.train_on_batch(batch)
    after = [to_numpy(w) for w in model.text_side.trainable_variables]
    assert not any(
        np.array_equal(*pair) for pair in zip(before[:-4], after[:-4], strict=True) if pair[0].size > 64
    )
    encoder, ids = model.text_side.encoder, batch["prompt"]
    states = to_numpy(encoder.token_features(ids, segment_ids=batch["segments"]))
    assert not states[ids == 0].any() and states[ids != 0].any()
    assert_close(
        encoder.token_features(ids[:, :-1], segment_ids=batch["segments"][:, :-1]), states[:, :-1], 1e-5
    )
    assert np.abs(to_numpy(encoder.token_features(ids)) - states).max() > 1e-4, "segments are read"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    (ours,), (theirs,) = (one.report(STUDIES[1], features=FEATURES) for one in (model, loaded))
    assert ours.findings == theirs.findings


def test_another_architecture_is_refused():
    first = new_model(MLRGPretraining(TINY))
    wider = new_model(MLRG(type(TINY)(**{**TINY.to_dict(), "projection_dim": 16}), TOKENIZER))
    before = [to_numpy(weight) for weight in wider.weights]
    with pytest.raises(ValueError, match="projection"):
        transfer_first_stage(first, wider)
    assert all(np.array_equal(to_numpy(w), old) for w, old in zip(wider.weights, before, strict=True))


def test_saved_with_tokenizer_and_encoder(tmp_path):
    encoder = ConvolutionTokens((16, 16), WIDTH)
    encoder.build((None, 16, 16))
    encoder.adapt(np.stack([image.image for study in STUDIES for image in study.images]))
    model = new_model(MLRG(TINY, TOKENIZER, encoder, absence="empty"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.tokenizer == TOKENIZER and loaded.absence == "empty"
    for ours, theirs in zip(loaded.report(STUDIES[:3]), model.report(STUDIES[:3]), strict=True):
        assert ours.findings == theirs.findings
        assert_close(ours.score, np.float32(theirs.score), 1e-5)


def test_ragged_and_wrong_input(model):
    lateral = Study("lateral", "lateral", (view("7 LATERAL", "LATERAL"),))
    (found,) = model.report(lateral, features=FEATURES, beam_width=1)
    assert np.isfinite(found.score) and len(found.alternatives) == 1
    five = Study("five", "five", tuple(view(f"five {place}", "UNK") for place in range(5)))
    unread = Study("unread", "unread", (view("0 PA"),), prior=PriorVisit(view("prior 1")))
    ragged = [five, unread]
    reports = model.report(ragged, 1, features=features_of(ragged))
    assert all(np.isfinite(report.score) for report in reports) and len(reports) == 2
    with pytest.raises(ValueError, match="at least one"):
        model.report([], features=FEATURES)
    with pytest.raises(ValueError, match="image_encoder"):
        model.report(STUDIES[:1])
    with pytest.raises(ValueError, match="tokenizer"):
        MLRG(TINY).report(STUDIES[:1], features=FEATURES)
    with pytest.raises(ValueError, match="beam_width"):
        model.report(STUDIES[:1], beam_width=0, features=FEATURES)
    with pytest.raises(ValueError, match="max_length"):
        model.report(STUDIES[:1], max_length=0, features=FEATURES)


def test_the_findings_of_a_study_are_not_read(model, monkeypatch):
    def read(*given, **options):
        raise AssertionError("the findings were encoded")

    monkeypatch.setattr(type(TOKENIZER), "encode_findings", read)
    assert STUDIES[0].findings
    assert len(model.report(STUDIES[:1], features=FEATURES)) == 1
