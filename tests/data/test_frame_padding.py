import numpy as np
import pytest

from contrast.data.frame_padding import pad_frames


@pytest.mark.golden
def test_matches_official_code(golden):
    case = golden("sign_translation")
    padded = pad_frames(case["pad_lengths"])
    np.testing.assert_array_equal([len(frames) for frames in padded], case["pad_padded_lengths"])
    np.testing.assert_array_equal(np.concatenate(padded), case["pad_frame_index"])
    clips = np.repeat(np.arange(len(padded)), [len(frames) for frames in padded])
    np.testing.assert_array_equal(clips, case["pad_video_index"])


@pytest.mark.golden
def test_tokens_of_padded_clips_match_official_code(golden):
    from contrast.layers.temporal_conv import TemporalConv

    case = golden("sign_translation")
    layer = TemporalConv(4)
    tokens = [layer.token_count(len(frames)) for frames in pad_frames(case["pad_lengths"])]
    np.testing.assert_array_equal(tokens, case["pad_token_lengths"])
    mask = np.arange(max(tokens)) < np.array(tokens)[:, None]
    np.testing.assert_array_equal(mask, case["pad_attention_mask"])


def test_long_clips_are_shortened_in_order():
    (drawn,) = pad_frames([1000], left=0, right=0, generator=np.random.default_rng(0))
    assert len(drawn) == 300 == len(np.unique(drawn))
    assert (np.diff(drawn) > 0).all()
    (even,) = pad_frames([1000], left=0, right=0)
    assert even[0] == 0 and set(np.diff(even)) == {3, 4}
    (again,) = pad_frames([1000], left=0, right=0, generator=np.random.default_rng(1))
    assert not np.array_equal(drawn, again)


def test_one_frame_fills_a_clip():
    assert pad_frames([1])[0].tolist() == [0] * 20


def test_wrong_arguments():
    with pytest.raises(ValueError, match="lengths must be at least 1, got 0 for clip 1"):
        pad_frames([4, 0])
    with pytest.raises(ValueError, match="multiple=0"):
        pad_frames([4], multiple=0)
