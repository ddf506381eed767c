import numpy as np
import pytest

from contrast import backend
from contrast.losses import token_alignment_loss
from tests.case import assert_close, assert_value_and_gradient, to_numpy

rng = np.random.default_rng(0)
WORDS = rng.normal(size=(3, 5, 6)).astype("float32")
PATCHES = rng.normal(size=(3, 4, 6)).astype("float32")
LENGTHS = np.array([5, 2, 0])
REAL = np.arange(5) < LENGTHS[:, None]


def by_hand(words, patches, temperature):
    """The loss of each word of one sample, in double precision."""
    words, patches = words.astype("float64"), patches.astype("float64")
    scores = np.exp(words @ patches.T / np.sqrt(words.shape[1]))
    attended = scores / scores.sum(1, keepdims=True) @ patches
    words, attended = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (words, attended))
    s = np.exp(words @ attended.T / temperature)
    return -0.5 * (np.log(np.diag(s) / s.sum(1)) + np.log(np.diag(s) / s.sum(0)))


@pytest.mark.golden
def test_official_value_and_gradients(golden):
    case = golden("report_generation")
    assert_value_and_gradient(
        lambda text, image: token_alignment_loss(text, image, temperature=float(case["token_temperature"])),
        [case["token_text"], case["token_image"]],
        case["token_loss"],
        [case["token_grad_text"], case["token_grad_image"]],
    )


@pytest.mark.golden
def test_padding_behind_the_official_texts_changes_nothing(golden):
    case = golden("report_generation")
    text, image = case["token_text"], case["token_image"]
    real, real_b = (np.pad(np.ones(x.shape[:2], bool), ((0, 1), (0, 2))) for x in (text, image))
    padding = ((0, 1), (0, 2), (0, 0))

    def loss(a, b):
        return token_alignment_loss(a, b, real, real_b, temperature=float(case["token_temperature"]))

    gradients = [np.pad(case[f"token_grad_{kind}"], padding) for kind in ("text", "image")]
    for filler in (7.0, np.nan):
        padded = [np.pad(x, padding, constant_values=filler) for x in (text, image)]
        assert_value_and_gradient(loss, padded, case["token_loss"], gradients)


def test_mean_over_real_tokens_by_hand():
    each = [by_hand(WORDS[i, :length], PATCHES[i], 0.2) for i, length in enumerate(LENGTHS[:2])]
    assert_close(token_alignment_loss(WORDS, PATCHES, REAL, temperature=0.2), np.concatenate(each).mean())
    seen = np.array([[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 1]], bool)
    each = [by_hand(WORDS[i, REAL[i]], PATCHES[i, seen[i]], 0.2) for i in range(2)]
    assert_close(
        token_alignment_loss(WORDS, PATCHES, REAL, seen, temperature=0.2), np.concatenate(each).mean()
    )


def test_padding_does_not_outshine_dissimilar_tokens():
    """Beside scores far below 0 the score 0 of padding would take all the attention."""
    words, patches, seen = (
        30 * np.abs(WORDS),
        -3 * np.abs(PATCHES),
        np.array([[True, True, False, False]] * 3),
    )
    expected = np.mean([by_hand(words[i], patches[i, :2], 1.0) for i in range(3)])
    assert_close(token_alignment_loss(words, patches, b_mask=seen, temperature=1.0), expected)


def test_a_sample_with_nothing_to_see_takes_no_part():
    seen = np.array([[False] * 4, [True] * 4, [True] * 4])
    expected = by_hand(WORDS[1, : LENGTHS[1]], PATCHES[1], 0.2).mean()
    assert_close(token_alignment_loss(WORDS, PATCHES, REAL, seen, temperature=0.2), expected)


@pytest.mark.parametrize("masks", [(0 * REAL, None), (None, np.zeros((3, 4)))])
def test_nothing_but_padding_is_zero_with_a_zero_gradient(masks):
    value, gradients = backend.value_and_grad(
        lambda a, b: token_alignment_loss(a, b, *masks), np.full_like(WORDS, np.nan), PATCHES
    )
    assert float(value) == 0 and not any(to_numpy(gradient).any() for gradient in gradients)


def test_other_samples_do_not_compete():
    losses = [by_hand(WORDS[i], PATCHES[i], 0.1).mean() for i in range(3)]
    assert_close(token_alignment_loss(WORDS, PATCHES, temperature=0.1), np.mean(losses))


def test_extreme_tokens_stay_finite():
    for scale in (0, 1e-20, 1e4):
        value, gradients = backend.value_and_grad(
            lambda a, b: token_alignment_loss(a, b, REAL, temperature=0.01), scale * WORDS, scale * PATCHES
        )
        assert np.isfinite(to_numpy(value))
        assert all(np.isfinite(to_numpy(gradient)).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: token_alignment_loss(WORDS, PATCHES, temperature=0.0),
            "temperature must be positive, got 0.0",
        ),
        (lambda: token_alignment_loss(WORDS[:2], PATCHES), "same batch and dim"),
        (lambda: token_alignment_loss(WORDS[..., :2], PATCHES), "same batch and dim"),
        (lambda: token_alignment_loss(WORDS[0], PATCHES), "batch, tokens, dim"),
        (
            lambda: token_alignment_loss(WORDS, PATCHES, REAL[:, :4]),
            r"a_mask .* \(3, 5\), got shape \(3, 4\)",
        ),
        (
            lambda: token_alignment_loss(WORDS, PATCHES, b_mask=REAL),
            r"b_mask .* \(3, 4\), got shape \(3, 5\)",
        ),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
