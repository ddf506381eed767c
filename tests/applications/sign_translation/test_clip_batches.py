import numpy as np
import pytest

from applications.sign_translation.augmentation import ClipAugmentation
from applications.sign_translation.batches import clip_batches
from applications.sign_translation.stage_zero import FrameAutoencoder, FrameBatches
from contrast.data.sentence_noise import WordMasking


def numbered(*lengths):
    """Clips whose frame t holds the number t."""
    return [np.arange(length, dtype="float32")[:, None] * np.ones(3, "float32") for length in lengths]


def test_padding_repeats_the_last_frame():
    batch = clip_batches(numbered(3, 6), shuffle=False, buckets=1)[0]
    np.testing.assert_array_equal(batch["frames"][0, :, 0], [0, 1, 2, 2, 2, 2, 2, 2])
    np.testing.assert_array_equal(batch["frame_mask"].sum(axis=1), [3, 6])


def test_long_clips_keep_some_frames_in_order():
    batches = clip_batches(numbered(50, 9), max_frames=10, shuffle=False)
    frames = np.concatenate([batches[i]["frames"] for i in range(len(batches))])[:, :, 0]
    long = frames[frames.max(axis=1) > 9]
    assert long.shape == (1, 10)
    assert (np.diff(long[0]) > 0).all()
    again = clip_batches(numbered(50, 9), max_frames=10, shuffle=False)
    np.testing.assert_array_equal(again[0]["frames"], batches[0]["frames"])
    other = clip_batches(numbered(50), max_frames=10, shuffle=False, seed=1)[0]["frames"][0, :, 0]
    assert not np.array_equal(other, long[0])


def test_one_shape_for_all_batches():
    clips = [np.ones((length, 4), "float32") for length in (3, 9, 30)]
    batches = clip_batches(clips, batch_size=1, max_frames=20, buckets=(12, 20), shuffle=False)
    assert [batches[number]["frames"].shape[1] for number in range(3)] == [12, 12, 20]
    with pytest.raises(ValueError, match="no longer than the last bucket, 8"):
        clip_batches(clips, buckets=(8,))


def test_noise_goes_into_the_masked_sentence_only():
    tokens = np.array([[7, 8, 9, 2, 11], [7, 2, 11, 1, 1]])
    noise = WordMasking(rate=1.0, mask_id=4, pad_id=1, kept_ids=(0, 2, 11))
    batches = clip_batches(numbered(4, 4), tokens, noise=noise, shuffle=False)
    batch = batches[0]
    np.testing.assert_array_equal(batch["tokens"], tokens)
    assert (batch["masked_tokens"] == 4).any()
    np.testing.assert_array_equal(batch["masked_tokens"] == 11, tokens == 11)
    batches.on_epoch_end()
    assert not np.array_equal(batches[0]["masked_tokens"], batch["masked_tokens"])
    plain = clip_batches(numbered(4, 4), tokens, shuffle=False)[0]
    np.testing.assert_array_equal(plain["masked_tokens"], tokens)


def test_equal_sentences_are_kept_apart():
    tokens = np.array([[7, 2, 9]] * 3 + [[8, 2, 9]] * 3)
    batches = clip_batches(numbered(*[4] * 6), tokens, batch_size=2, distinct_sentences=True)
    assert len(batches) == 3
    for index in range(3):
        assert len(np.unique(batches[index]["tokens"], axis=0)) == 2


def test_clips_of_a_batch_move_each_in_its_own_way_and_frames_of_a_clip_alike():
    rng = np.random.default_rng(0)
    clip = np.repeat(rng.integers(0, 256, (1, 16, 16, 1), dtype="uint8"), 4, axis=0)
    for augmentation in (
        ClipAugmentation.small(),
        ClipAugmentation(size=12, shift=2, probability=1.0),
        ClipAugmentation(size=None, shift=0, rotation=0, scale=0.3, probability=1.0),
    ):
        out = augmentation(np.stack([clip] * 8), np.random.default_rng(1))
        assert out.dtype == np.float32 and out.min() >= 0 and out.max() <= 1
        assert (out == out[:, :1]).all(), "one draw for the frames of a clip"
        assert len(np.unique(out[:, 0].reshape(8, -1), axis=0)) > 4, "a draw of its own for each clip"
        np.testing.assert_array_equal(out, augmentation(np.stack([clip] * 8), np.random.default_rng(1)))


def test_augmentation_of_known_size():
    clip = np.zeros((1, 1, 9, 9, 1), "uint8")
    clip[0, 0, 4, 4] = 255
    same = ClipAugmentation(0, 0, 0, size=None)(clip, np.random.default_rng(0))
    np.testing.assert_allclose(same, clip / 255, rtol=1e-6)
    turned = ClipAugmentation(180, 0, 0, probability=1.0, size=None)(clip, np.random.default_rng(0))
    assert turned[0, 0, 4, 4, 0] > 0.9, "the middle stays"
    shifts = {
        tuple(np.argwhere(ClipAugmentation(0, 0, 2, 0, 1.0, None)(clip, np.random.default_rng(s))[0, 0])[0])
        for s in range(40)
    }
    assert {abs(row - 4) for row, _, _ in shifts} == {0, 1, 2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rotation": 181}, "rotation must be from 0 to 180, got 181"),
        ({"probability": 1.5}, "probability must be from 0 to 1"),
        ({"size": 0}, "size 1, got 10 and 0"),
    ],
)
def test_bad_augmentations(arguments, words):
    with pytest.raises(ValueError, match=words):
        ClipAugmentation(**arguments)


def test_frames_smaller_than_the_cut():
    with pytest.raises(ValueError, match="at least size=224 pixels a side, got \\(8, 8\\)"):
        ClipAugmentation()(np.zeros((1, 2, 8, 8, 1)), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("clips", "tokens", "words"),
    [
        ([], None, "clips must be at least one"),
        (numbered(3, 4), np.zeros((3, 2), int), "one sentence a clip, \\(2, length\\), got shape \\(3, 2\\)"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], None, "frames of one size"),
    ],
)
def test_bad_clips(clips, tokens, words):
    with pytest.raises(ValueError, match=words):
        clip_batches(clips, tokens)


@pytest.mark.once
def test_stage_zero_learns_to_draw_what_differs():
    """A bright dot in one of four corners of a grey frame."""
    from applications.sign_translation.architecture import Architecture
    from applications.sign_translation.recipes import FrameRecipe
    from applications.sign_translation.stages import fit_frames

    rng = np.random.default_rng(0)
    frames = np.full((64, 16, 16, 1), 90, "uint8")
    for frame, (row, column) in zip(frames, rng.integers(0, 2, (64, 2)) * 8 + 2, strict=True):
        frame[row : row + 4, column : column + 4] = 250
    architecture = Architecture.small(9, (16, 16, 1), frame_width=8)
    model = fit_frames(
        [frames], FrameRecipe(batch_size=16, epochs=20, learning_rate=1e-2), architecture=architecture
    )
    drawn = model.predict(frames[:16], verbose=0)
    own = np.abs(drawn - frames[:16] / 255).mean()
    others = np.abs(drawn - frames[np.roll(np.arange(16), 5)] / 255).mean()
    assert own < 0.6 * others, (own, others)
    assert drawn.shape == (16, 16, 16, 1)


def test_frame_batches():
    clips = [np.full((5, 8, 8, 1), value, "uint8") for value in (0, 255)]
    batches = FrameBatches(clips, batch_size=4)
    assert len(batches) == 2 and batches[0].shape == (4, 8, 8, 1)
    np.testing.assert_allclose(batches.mean_frame, 0.5)
    assert FrameBatches(clips, most=5).count == 6
    with pytest.raises(ValueError, match="frames of one size"):
        FrameBatches([clips[0], np.zeros((2, 4, 4, 1))])
    with pytest.raises(ValueError, match="frame_shape must be"):
        FrameAutoencoder(None, (8, 8))
