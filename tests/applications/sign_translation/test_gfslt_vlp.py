import keras
import numpy as np
import pytest

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.callbacks import DevBleu
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.gfslt_vlp import GFSLTVLP, transfer_first_stage
from applications.sign_translation.recipes import SLTRecipe
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.stages import fit_translation, new_model
from applications.sign_translation.text import SentenceTokenizer
from tests.case import assert_close, to_numpy

TOKENIZER = SentenceTokenizer.fit(["rain in the north", "fog in the south", "sun"])
TINY = Architecture.small(
    TOKENIZER.size, (6,), dim=8, depth=1, heads=2, max_frames=20, max_length=8, dropout=0.0
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = new_model(GFSLTVLP(TINY, TOKENIZER), np.ones((1, 8)))
    # Far from uniform, so that beams have something to choose from.
    for weight in model.decoder.weights:
        weight.assign(np.random.default_rng(len(weight.path)).normal(size=weight.shape) * 0.5)
    return model


def clips_of(*lengths):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 6)).astype("float32") for length in lengths]


def test_every_weight_moves_and_loss_falls():
    model = new_model(GFSLTVLP(TINY, TOKENIZER), np.ones((1, 8)))
    before = {w.path: to_numpy(w) for w in model.trainable_variables}
    tokens = TOKENIZER.encode(["rain in the north", "fog in the south", "sun", "rain"])
    fit_translation(
        model, clips_of(20, 20, 20, 18), tokens, SLTRecipe.small(12, warmup_steps=0), architecture=TINY
    )
    still = [w.path for w in model.trainable_variables if np.array_equal(to_numpy(w), before[w.path])]
    assert not still
    loss = model.history.history["loss"]
    assert loss[-1] < 0.9 * loss[0]


def test_translations_do_not_depend_on_company(model):
    clips = clips_of(20, 7, 20)
    together = model.translate(clips, beam_width=3, batch_size=2)
    for clip, found in zip(clips[:2], together, strict=False):
        (alone,) = model.translate([clip], beam_width=3)
        assert alone.sentence == found.sentence
        assert_close(alone.score, np.float32(found.score), 1e-4)
        assert alone.alternatives[0] == (alone.sentence, alone.score)
        scores = [score for _, score in found.alternatives]
        assert scores == sorted(scores, reverse=True) and len(scores) == 3


def test_one_shape_for_all_lengths(model):
    clips = clips_of(20, 7)
    for clip, found in zip(clips, model.translate(clips, beam_width=3), strict=True):
        (padded,) = model.translate([clip], beam_width=3, buckets=(20,), attention=True)
        assert padded.sentence == found.sentence
        assert_close(padded.score, np.float32(found.score), 1e-4)
        assert padded.attention.shape[1] == -(-len(clip) // 4) + 1


def test_a_clip_of_one_frame(model):
    (found,) = model.translate(clips_of(1), beam_width=1)
    assert np.isfinite(found.score) and len(found.alternatives) == 1


def test_attention_is_over_real_tokens_of_the_clip(model):
    found = model.translate(clips_of(20, 5), beam_width=1, attention=True)
    for translation, tokens in zip(found, (6, 3), strict=True):
        assert translation.attention.shape == (len(translation.tokens), tokens)
        np.testing.assert_allclose(translation.attention.sum(axis=1), 1, atol=1e-5)
    assert model.translate(clips_of(20, 5), beam_width=1)[0].attention is None


def test_prompt(model):
    clips = clips_of(20, 5)
    found = model.translate(clips, beam_width=1, prompt="fog in")
    assert all(translation.sentence.startswith("fog in") for translation in found)
    free, empty = (
        [translation.sentence for translation in model.translate(clips, beam_width=1, **options)]
        for options in ({}, {"prompt": "  "})
    )
    assert free == empty


def test_long_clips_are_shortened_and_signed_clips_are_taken(model):
    (long,) = model.translate(clips_of(50), beam_width=1)
    assert np.isfinite(long.score)
    pixels = Architecture.small(TOKENIZER.size, (8, 8, 1), dim=8, depth=1, heads=2, max_frames=8)
    one = new_model(GFSLTVLP(pixels, TOKENIZER), np.ones((1, 8)))
    clip = SignedClip(np.zeros((5, 8, 8, 1), "uint8"), "rain")
    ours, theirs = (one.translate([given], beam_width=1)[0] for given in (clip, clip.frames))
    assert ours.sentence == theirs.sentence and ours.score == theirs.score


def test_saved_with_its_tokenizer(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clips = clips_of(20, 5)
    ours, theirs = (one.translate(clips, beam_width=1) for one in (model, loaded))
    assert [one.sentence for one in ours] == [one.sentence for one in theirs]
    assert loaded.architecture == TINY


def test_own_frame_encoder(tmp_path):
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.ReLU()])
    model = new_model(GFSLTVLP(TINY, TOKENIZER, frame_encoder=encoder), np.ones((1, 8)))
    assert model.visual_encoder.frame_encoder is encoder
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.visual_encoder.frame_encoder.layers) == 2


def image_model(maps, side=8):
    pixels = keras.Input((side, side, 3))
    features = keras.layers.Conv2D(4, 3, strides=2)(pixels)
    return keras.Model(pixels, features if maps else keras.layers.Flatten()(features))


@pytest.mark.once
@pytest.mark.parametrize("maps", [True, False])
def test_from_backbone(maps, tmp_path):
    backbone = image_model(maps)
    sizes = Architecture.small(TOKENIZER.size, (8, 8, 3), dim=8, depth=1, heads=2, max_frames=8, max_length=8)
    model = GFSLTVLP.from_backbone(backbone, TOKENIZER, sizes)
    clips = [np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype="uint8")] * 2
    tokens = TOKENIZER.encode(["sun", "rain"])
    before = to_numpy(backbone.weights[0])
    first = VLP(sizes, frame_encoder=keras.models.clone_model(model.visual_encoder.frame_encoder))
    transfer_first_stage(new_model(first, tokens), new_model(model, tokens), "v2")
    assert not np.allclose(to_numpy(backbone.weights[0]), before), "weights of stage 1 arrive in the backbone"
    before = to_numpy(backbone.weights[0])
    fit_translation(model, clips, tokens, SLTRecipe.small(1), architecture=sizes)
    assert not np.array_equal(to_numpy(backbone.weights[0]), before), "the backbone is trained along"
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    ours, theirs = (one.translate(clips[:1], beam_width=1)[0] for one in (model, again))
    assert ours.sentence == theirs.sentence
    assert_close(ours.score, np.float32(theirs.score), 1e-4)


def test_backbones_that_do_not_fit():
    with pytest.raises(ValueError, match=r"images of a fixed size .* got \(None, None, None, 3\)"):
        GFSLTVLP.from_backbone(image_model(True, None), TOKENIZER)
    with pytest.raises(ValueError, match="backbone must go from images .* got None to None"):
        GFSLTVLP.from_backbone(keras.layers.Dense(3), TOKENIZER)
    with pytest.raises(ValueError, match=r"frames as the backbone takes them, \(8, 8, 3\), got .* \(6,\)"):
        GFSLTVLP.from_backbone(image_model(True), TOKENIZER, TINY)


def test_dev_bleu(model):
    clips = clips_of(20, 5)
    references = [(one.sentence or "none",) for one in model.translate(clips, beam_width=1)]
    watch = DevBleu(clips, references, every=2)
    watch.set_model(model)
    logs = [{}, {}, {}]
    for epoch, log in enumerate(logs):
        watch.on_epoch_end(epoch, log)
    assert len(watch.scores) == 1
    assert [log["val_bleu_4"] for log in logs] == [0.0, watch.scores[0], watch.scores[0]]
    model.history = keras.callbacks.History()
    model.history.history["val_bleu_4"] = [0.0, 7.5]
    resumed, log = DevBleu(clips, references, every=2), {}
    resumed.set_model(model)
    resumed.on_epoch_end(2, log)
    assert log == {"val_bleu_4": 7.5}, "what was measured before an interruption"
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        DevBleu(clips, references, every=0)


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        ([], "clips must be at least one"),
        ([np.zeros((0, 6))], "at least one frame"),
        ([np.zeros((4, 7), "float32")], "clips must be \\(frames, 6\\); clip 0 has shape \\(4, 7\\)"),
    ],
)
def test_bad_clips(model, clips, words):
    with pytest.raises(ValueError, match=words):
        model.translate(clips)


def test_no_length_is_not_the_default(model):
    with pytest.raises(ValueError, match="max_length"):
        model.translate([np.zeros((4, 6), "float32")], max_length=0)


def test_no_tokenizer():
    with pytest.raises(ValueError, match="needs a tokenizer"):
        new_model(GFSLTVLP(TINY), np.ones((1, 8))).translate(clips_of(3))
