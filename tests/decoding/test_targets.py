import keras
import numpy as np
import pytest

from contrast import backend
from contrast.decoding import SequenceCrossEntropy, label_smoothed_cross_entropy, last_tokens, shift_right
from tests.case import assert_close, assert_value_and_gradient, to_numpy

TARGETS = np.array([[3, 1, 4, 2, 0], [5, 2, 0, 0, 0], [0, 0, 0, 0, 0]])
LOGITS = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32") * 3


def by_hand(targets, logits, smoothing, padding_id):
    """The loss of each token, one after the other."""
    losses = np.zeros(targets.shape)
    for place in np.ndindex(targets.shape):
        if targets[place] != padding_id:
            z = logits[place].astype("float64")
            log_p = z - np.log(np.exp(z).sum())
            losses[place] = -(1 - smoothing) * log_p[targets[place]] - smoothing * log_p.mean()
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("padding_id", [0, -100])
def test_each_token_by_hand(smoothing, padding_id):
    targets = np.where(TARGETS == 0, padding_id, TARGETS)
    losses = label_smoothed_cross_entropy(targets, LOGITS, smoothing, padding_id)
    assert_close(losses, by_hand(targets, LOGITS, smoothing, padding_id))


def test_mean_over_real_tokens():
    losses, loss = by_hand(TARGETS, LOGITS, 0.1, 0), SequenceCrossEntropy(label_smoothing=0.1)
    assert_close(loss(TARGETS, LOGITS), losses.sum() / 6)
    assert_close(
        loss(TARGETS, LOGITS, [1.0, 3.0, 5.0]), (losses[0].sum() + 3 * losses[1].sum()) / (4 + 3 * 2)
    )
    weights = np.random.default_rng(1).random(TARGETS.shape)
    assert_close(loss(TARGETS, LOGITS, weights), (losses * weights).sum() / weights[TARGETS != 0].sum())


def test_replicas_sum_to_the_mean_over_all_their_tokens(monkeypatch):
    loss = SequenceCrossEntropy(label_smoothing=0.1)
    whole = to_numpy(loss(TARGETS, LOGITS))
    monkeypatch.setattr(backend, "replica_count", lambda: 2)
    monkeypatch.setattr(backend, "gather", lambda count: keras.ops.convert_to_tensor([4.0, 2.0]))
    assert_close(loss(TARGETS[:1], LOGITS[:1]) + loss(TARGETS[1:], LOGITS[1:]), whole)


def test_padding_only_is_zero_with_a_finite_gradient():
    loss = SequenceCrossEntropy(label_smoothing=0.1)
    value, (gradient,) = backend.value_and_grad(lambda z: loss(np.zeros((2, 5), int), z), LOGITS[:2])
    assert float(value) == 0 and not to_numpy(gradient).any()


def test_impossible_tokens_are_allowed_without_smoothing():
    logits = np.where(np.arange(6) == 0, -np.inf, LOGITS).astype("float32")
    assert np.isfinite(to_numpy(label_smoothed_cross_entropy(TARGETS, logits))).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_equals_pytorch(smoothing):
    torch = pytest.importorskip("torch")
    z = torch.tensor(LOGITS, requires_grad=True)
    oracle = torch.nn.CrossEntropyLoss(label_smoothing=smoothing, ignore_index=0)
    value = oracle(z.reshape(-1, 6), torch.tensor(TARGETS).reshape(-1))
    value.backward()
    loss = SequenceCrossEntropy(smoothing)
    assert_value_and_gradient(
        lambda logits: loss(TARGETS, logits), [LOGITS], value.item(), [z.grad.cpu().numpy()]
    )


@pytest.mark.golden
@pytest.mark.parametrize("slug", ["sign_translation", "report_generation"])
def test_golden_loss(golden, slug):
    case = golden(slug)
    targets = case["lm_labels"] if "lm_labels" in case else case["tgt_ids"]
    # The official code of the one ignores -100, of the other its padding, 1.
    padding_id = -100 if "lm_labels" in case else 1
    loss = SequenceCrossEntropy(float(case.get("lm_smoothing", 0.0)), padding_id)
    assert_value_and_gradient(
        lambda logits: loss(targets, logits), [case["lm_logits"]], case["lm_loss"], [case["lm_grad"]]
    )


@pytest.mark.golden
def test_golden_shift(golden):
    case = golden("sign_translation")
    decoder_ids = shift_right(case["tgt_ids"], last_tokens(case["tgt_ids"], padding_id=1))
    np.testing.assert_array_equal(to_numpy(decoder_ids), case["tgt_decoder_ids"])


@pytest.mark.golden
def test_golden_decoder_input(golden):
    """This official decoder reads padding in the place of a separator, and attends to it all the same."""
    case = golden("report_generation")
    ids, padding = case["lm_ids"], int(case["lm_pad_id"])
    shifted = to_numpy(shift_right(ids[:, 1:], start_id=ids[:, 0]))
    np.testing.assert_array_equal(shifted != padding, case["lm_decoder_mask"])
    decoder_ids = np.where(shifted == case["lm_sep_id"], padding, shifted)
    np.testing.assert_array_equal(decoder_ids, case["lm_decoder_ids"])
    assert (decoder_ids != shifted).any(), "a separator is in the file"


def test_shift_puts_the_start_in_front_and_keeps_padding():
    np.testing.assert_array_equal(
        to_numpy(shift_right(TARGETS, 7)), [[7, 3, 1, 4, 2], [7, 5, 2, 0, 0], [7, 0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(to_numpy(shift_right(TARGETS, [7, 8, 9]))[:, 0], [7, 8, 9])
    np.testing.assert_array_equal(to_numpy(last_tokens(TARGETS)), [2, 2, 0])


def test_config():
    loss = SequenceCrossEntropy(0.3, padding_id=4)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (copy.label_smoothing, copy.padding_id) == (0.3, 4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: SequenceCrossEntropy(1.0), "from 0 to below 1, got 1.0"),
        (lambda: label_smoothed_cross_entropy(TARGETS, LOGITS, -0.1), "from 0 to below 1, got -0.1"),
        (
            lambda: label_smoothed_cross_entropy(TARGETS, LOGITS[:, :4]),
            r"targets \(3, 5\), got shape \(3, 4, 6\)",
        ),
        (lambda: label_smoothed_cross_entropy(TARGETS * 1.0, LOGITS), "targets must be integers"),
        (lambda: shift_right(TARGETS, [1, 2]), "one for each of 3 texts"),
        (lambda: shift_right(TARGETS[0], 1), r"ids must be integers \(batch, length\)"),
        (lambda: last_tokens(TARGETS * 1.0), "ids must be integers"),
    ],
)
def test_bad_input(function, message):
    with pytest.raises(ValueError, match=message):
        function()
