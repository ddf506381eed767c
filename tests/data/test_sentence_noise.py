import numpy as np
import pytest

from contrast.data.sentence_noise import WordMasking, tail_words

pytestmark = pytest.mark.once

MASK, PAD, END = 4, 1, 2


class Draws:
    """A generator whose uniform draws are given."""

    def __init__(self, draws):
        self.draws = iter(draws)

    def uniform(self, low, high):
        return next(self.draws)


def sentences(counts):
    length = max(counts) + 1
    ids = np.full((len(counts), length), PAD)
    for row, count in enumerate(counts):
        ids[row, :count] = 10 + np.arange(count)
        ids[row, count] = END
    return ids


@pytest.mark.golden
def test_matches_official_code(golden):
    case = golden("sign_translation")
    expected = case["noise_masked"]
    for words, draw, masked in zip(case["noise_words"], case["noise_draw"], expected, strict=True):
        np.testing.assert_array_equal(tail_words(words, draw), masked[:words])
    noise = WordMasking(float(case["noise_rate"]), kept_ids=(END,))
    ids = sentences(case["noise_words"])
    noisy = noise(ids, Draws(case["noise_draw"]))
    np.testing.assert_array_equal(noisy[:, :-1] == MASK, expected == 1)
    kept = noisy != MASK
    np.testing.assert_array_equal(noisy[kept], ids[kept])


def test_tail_draws_up_to_the_rate():
    noise = WordMasking(0.5, kept_ids=(END,))
    masked = (noise(sentences([20] * 400), np.random.default_rng(0)) == MASK).sum(axis=1)
    assert masked.min() >= 1 and masked.max() == 10
    assert masked.mean() == pytest.approx(5.5, abs=0.5)


def test_segments_keep_one_word_each():
    noise = WordMasking(0.75, mode="segment", kept_ids=(END,))
    kept = noise(sentences([20] * 300), np.random.default_rng(0))[:, :20] != MASK
    np.testing.assert_array_equal(kept.reshape(300, 5, 4).sum(axis=2), 1)
    np.testing.assert_allclose(kept.mean(axis=0), 0.25, atol=0.1)
    one = WordMasking(0.15, mode="segment", kept_ids=(END,))(sentences([1]), np.random.default_rng(0))
    assert one.tolist() == [[MASK, END]]


def test_shuffling_keeps_words_and_the_end():
    ids = sentences([6, 9])
    noisy = WordMasking(0, shuffle_rate=1, kept_ids=(END,))(ids, np.random.default_rng(0))
    assert not np.array_equal(noisy, ids)
    np.testing.assert_array_equal(np.sort(noisy[0, :6]), ids[0, :6])
    assert noisy[0, 6:].tolist() == ids[0, 6:].tolist() and noisy[1, 9] == END
    half = WordMasking(0, shuffle_rate=0.5, kept_ids=(END,))(sentences([9] * 400), np.random.default_rng(0))
    assert (half != sentences([9] * 400)).any(axis=1).mean() == pytest.approx(0.5, abs=0.1)


def test_a_word_of_several_pieces_becomes_one_mask():
    ids = np.array([[10, 11, 12, 13, END, PAD]])
    words = np.array([[0, 0, 1, 1, -1, -1]])
    noisy = WordMasking(1, kept_ids=(END,))(ids, Draws([0.5]), words)
    assert noisy.tolist() == [[10, 11, MASK, END, PAD, PAD]]


def test_noise_is_a_function_of_the_generator():
    noise, ids = WordMasking(0.5, shuffle_rate=0.5, kept_ids=(END,)), sentences([8] * 5)
    one, same, other = (noise(ids, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(WordMasking(0, kept_ids=(END,))(ids, np.random.default_rng(0)), ids)
    assert WordMasking()(np.full((2, 3), PAD), np.random.default_rng(0)).tolist() == [[PAD] * 3] * 2


def test_wrong_arguments():
    with pytest.raises(ValueError, match="rate must lie between 0 and 1, got 1.5"):
        WordMasking(1.5)
    with pytest.raises(ValueError, match='"tail" or "segment", got \'all\''):
        WordMasking(mode="all")
    with pytest.raises(ValueError, match=r"ids must be integers \(batch, length\), got float64"):
        WordMasking()(np.zeros((2, 3)), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"words must have the shape of ids, \(1, 2\), got \(1, 3\)"):
        WordMasking()(np.zeros((1, 2), int), np.random.default_rng(0), np.zeros((1, 3), int))
