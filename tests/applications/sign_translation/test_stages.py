import keras
import numpy as np
import pytest

from applications.runs import RunFolder
from applications.sign_translation.architecture import Architecture
from applications.sign_translation.gfslt_vlp import GFSLTVLP, transfer_first_stage
from applications.sign_translation.recipes import FrameRecipe, SLTRecipe, VLPRecipe
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.stages import fit_pairs, fit_stages, fit_translation, new_model
from applications.sign_translation.text import SentenceTokenizer
from contrast.transfer import weight_names
from tests.case import to_numpy

WORDS = ("rain", "fog", "sun", "wind", "north", "south", "east", "west")
FEATURES = 6


def signed(count, seed=0):
    """Vectors in place of frames: each word a place for six frames, in reverse order."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(9).normal(size=(len(WORDS), FEATURES))
    clips, sentences = [], []
    for _ in range(count):
        words = rng.integers(0, len(WORDS), 3)
        frames = np.concatenate([np.tile(places[word], (6, 1)) for word in words[::-1]])
        clips.append((frames + 0.2 * rng.normal(size=frames.shape)).astype("float32"))
        sentences.append(" ".join(WORDS[word] for word in words))
    return clips, sentences


TOKENIZER = SentenceTokenizer.fit([" ".join(WORDS)])


def tiny(**options):
    options = {"dim": 32, "depth": 1, "text_depth": 1, "max_frames": 32, "max_length": 6, **options}
    return Architecture.small(TOKENIZER.size, (FEATURES,), dropout=0.0, text_dropout=0.0, **options)


def accuracy(model, clips, sentences):
    """The share of words that stand at their place."""
    found = [one.sentence.split() for one in model.translate(clips, beam_width=1)]
    pairs = zip(found, sentences, strict=True)
    return np.mean(
        [[ours[i : i + 1] == [word] for i, word in enumerate(right.split())] for ours, right in pairs]
    )


@pytest.mark.once
def test_learns_to_translate_and_stage_one_gives_a_head_start():
    clips, sentences = signed(96)
    unseen, truth = signed(32, seed=1)
    recipes = {
        "first": VLPRecipe.small(16, learning_rate=3e-3),
        "second": SLTRecipe.small(10, learning_rate=3e-3),
    }
    losses = {}
    for variant in (None, "v2"):
        keras.utils.set_random_seed(0)
        stages = fit_stages(clips, sentences, TOKENIZER, tiny(), variant=variant, **recipes, verbose=0)
        losses[variant] = stages.model.history.history["loss"]
    history = stages.first.history.history
    assert history["contrast_loss"][-1] < 0.5 * np.log(32), "clips and sentences must find each other"
    assert history["restoration_loss"][-1] < 0.7 * history["restoration_loss"][0]
    assert losses["v2"][0] < losses[None][0] - 0.5
    assert np.mean(losses["v2"]) < np.mean(losses[None])
    found = accuracy(stages.model, unseen, truth)
    # The same clips beside other sentences: without the video it would be right as often.
    shuffled = accuracy(stages.model, unseen[1:] + unseen[:1], truth)
    assert found > shuffled + 0.2, (found, shuffled)


def test_any_two_clips_meet_in_a_batch():
    """Also a short one and a long one: what a clip is told from must not depend on its length."""
    clips = [np.zeros((4 + 2 * number, FEATURES), "float32") for number in range(12)]
    tokens = TOKENIZER.encode([f"{first} {second}" for first in WORDS[:3] for second in WORDS[4:]])
    met = set()

    def collect(model, batches, stage, epochs, callbacks=()):
        for _ in range(60):
            for number in range(len(batches)):
                rows = batches[number]["rows"].tolist()
                met.update((one, other) for one in rows for other in rows)
            batches.on_epoch_end()

    options = {"architecture": tiny(), "fit": collect}
    fit_pairs(clips, tokens, VLPRecipe.small(1, batch_size=4), language_id=TOKENIZER.language_id, **options)
    assert len(met) == 12 * 12
    met.clear()
    fit_translation(
        new_model(GFSLTVLP(tiny()), tokens), clips, tokens, SLTRecipe.small(1, batch_size=4), **options
    )
    assert len(met) == 12 * 12


def test_what_each_variant_hands_on():
    tokens = np.array([[5, 2, TOKENIZER.language_id]])
    first = new_model(VLP(tiny()), tokens)
    for weight in first.weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    for variant in ("v1", "v2"):
        model = new_model(GFSLTVLP(tiny()), tokens)
        before = [to_numpy(weight) for weight in model.visual_encoder.sign_embedding.weights]
        report = transfer_first_stage(first, model, variant)
        kept = {row.target for row in report.untouched}
        new = {name for name in weight_names(model) if "/sign_" in name}
        assert new and new <= kept
        decoder = {name for name in weight_names(model) if name.startswith("decoder/")}
        assert kept - new == (decoder if variant == "v1" else set())
        np.testing.assert_array_equal(
            to_numpy(model.visual_encoder.temporal_conv.convolutions[0].kernel),
            to_numpy(first.visual_encoder.temporal_conv.convolutions[0].kernel),
        )
        after = [to_numpy(weight) for weight in model.visual_encoder.sign_embedding.weights]
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_first_stage_that_does_not_fit_is_refused():
    tokens = np.array([[5, 2, TOKENIZER.language_id]])
    model = new_model(GFSLTVLP(tiny()), tokens)
    with pytest.raises(ValueError, match="variant must be 'v1' or 'v2', got 'v3'"):
        transfer_first_stage(new_model(VLP(tiny()), tokens), model, "v3")
    with pytest.raises(ValueError, match="restoration=True"):
        transfer_first_stage(new_model(VLP(tiny(), restoration=False), tokens), model)
    before = [to_numpy(weight) for weight in model.weights]
    for other in (tiny(depth=2), tiny(frame_width=16)):
        with pytest.raises(ValueError, match="visual_encoder"):
            transfer_first_stage(new_model(VLP(other), tokens), model)
    assert all(np.array_equal(to_numpy(w), old) for w, old in zip(model.weights, before, strict=True))


@pytest.mark.once
def test_stage_zero_moves_into_the_arms():
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (12, 8, 8, 1), dtype="uint8") for _ in range(4)]
    architecture = Architecture.small(
        TOKENIZER.size, (8, 8, 1), dim=8, depth=1, text_depth=1, heads=2, text_heads=2, max_frames=12
    )
    sentences = ["rain", "fog", "sun", "wind"]
    options = {
        "frames": FrameRecipe(batch_size=16, epochs=1),
        "second": SLTRecipe.small(1, batch_size=4, learning_rate=0.0),
        "more_clips": [clips[0]],
        "verbose": 0,
    }
    stages = fit_stages(clips, sentences, TOKENIZER, architecture, variant=None, **options)
    ours = stages.model.visual_encoder.frame_encoder.layers[0].kernel
    np.testing.assert_array_equal(to_numpy(ours), to_numpy(stages.frames.frame_encoder.layers[0].kernel))
    assert {row.target.split("/")[1] for row in stages.report.moved} == {"frame_encoder"}
    assert stages.first is None


@pytest.mark.slow
def test_finished_stages_are_not_trained_again(tmp_path):
    """After an interruption behind the last stage: the weights come back, and the data is not looked at."""
    clips, sentences = signed(8)
    recipes = {"first": VLPRecipe.small(1, batch_size=4), "second": SLTRecipe.small(1, batch_size=4)}
    run = RunFolder(tmp_path / "run")
    run.write_config("sign_translation", "gfslt_vlp", 3, keras.config.backend(), {})
    keras.utils.set_random_seed(3)
    whole = fit_stages(clips, sentences, TOKENIZER, tiny(dim=8), **recipes, run=run, verbose=0)
    run._lock_file.close()
    keras.utils.set_random_seed(4)
    resumed = fit_stages(
        [np.zeros_like(clip) for clip in clips],
        sentences,
        TOKENIZER,
        tiny(dim=8),
        **recipes,
        run=RunFolder(tmp_path / "run", resume=True),
        verbose=0,
    )
    for ours, theirs in ((resumed.first, whole.first), (resumed.model, whole.model)):
        assert ours.history.history["loss"] == theirs.history.history["loss"]
        for one, other in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.parametrize(
    ("sentences", "options", "words"),
    [
        (["rain"] * 4, {}, "at least two different ones.*all 4 are equal"),
        (["rain", "fog"], {}, "one a clip, 4, got 2"),
        (["rain", "fog", "", "sun"], {}, "sentence 2 has none"),
        (["rain", "fog", "sun", "wind"], {"first": VLPRecipe.small(batch_size=1)}, "at least 2 in stage 1"),
        (["rain " * 9, "fog", "sun", "wind"], {}, "at most max_length=6 tokens, got 11"),
        (["rain", "fog", "sun", "wind"], {"variant": "V2"}, "'v1', 'v2' or None, got 'V2'"),
    ],
)
def test_bad_sentences(sentences, options, words):
    clips = signed(4)[0]
    with pytest.raises(ValueError, match=words):
        fit_stages(clips, sentences, TOKENIZER, tiny(), verbose=0, **options)


class Untouched:
    """Stands for a run folder in which nothing may be trained."""

    def fit(self, *_, stage, **options):
        raise AssertionError(f"stage {stage} was trained first")


@pytest.mark.parametrize(
    ("sentences", "words"),
    [
        (["rain " * 9, "fog", "sun", "wind"], "at most max_length=6 tokens"),
        (["rain"] * 4, "all 4 are equal"),
        (["rain", "fog", "", "sun"], "sentence 2 has none"),
    ],
)
def test_sentences_are_checked_before_the_first_stage(sentences, words):
    clips = [np.zeros((12, 8, 8, 1), "uint8")] * 4
    architecture = Architecture.small(TOKENIZER.size, (8, 8, 1), max_frames=12, max_length=6)
    with pytest.raises(ValueError, match=words):
        fit_stages(clips, sentences, TOKENIZER, architecture, frames=FrameRecipe(), run=Untouched())


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        ([], "clips must be at least one"),
        ([np.zeros((0, FEATURES))], "at least one frame; clip 0"),
        ([np.zeros((4, FEATURES)), np.zeros((4, 3))], "frames of one size"),
    ],
)
def test_bad_clips(clips, words):
    with pytest.raises(ValueError, match=words):
        fit_stages(clips, ["rain"] * len(clips), TOKENIZER, tiny(), verbose=0)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="optimizer_name must be 'sgd' or 'adamw', got 'lars'"):
        SLTRecipe(optimizer_name="lars")
