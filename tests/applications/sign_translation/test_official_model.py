"""The model's parts against what the paper's official code computes."""

import keras
import numpy as np
import pytest

from applications.sign_translation.stage_one import clip_sentence_loss
from applications.sign_translation.text import PAD_ID
from applications.sign_translation.visual_encoder import VisualEncoder
from contrast.decoding import SequenceCrossEntropy, last_tokens, shift_right
from contrast.encoders import TextTransformer
from contrast.layers import Temperature
from contrast.losses import total_loss
from tests.case import assert_close, assert_value_and_gradient, to_numpy

pytestmark = pytest.mark.golden


@pytest.fixture
def case(golden):
    return golden("sign_translation")


def test_loss_and_gradients_of_the_vectors(case):
    temperature = float(np.exp(-case["clip_log_scale"]))
    assert_value_and_gradient(
        lambda clips, sentences: clip_sentence_loss(clips, sentences, temperature),
        [case["clip_video"], case["clip_text"]],
        case["clip_loss"],
        [case["clip_grad_video"], case["clip_grad_text"]],
        2e-5,
    )


def test_gradient_of_the_temperature(case):
    class Head(keras.Model):
        def __init__(self):
            super().__init__()
            self.temperature = Temperature(float(np.exp(-case["clip_log_scale"])), minimum=1e-4)

        def call(self, inputs):
            return inputs

        def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
            return total_loss(self, loss=clip_sentence_loss(*y_pred, self.temperature))

    head = Head()
    head.compile(keras.optimizers.SGD(1.0))
    before = to_numpy(head.temperature.log_inverse)
    assert_close(before, case["clip_log_scale"])
    loss = head.train_on_batch((case["clip_video"], case["clip_text"]))
    assert_close(loss, case["clip_loss"], 2e-5)
    assert_close(before - to_numpy(head.temperature.log_inverse), case["clip_grad_log_scale"], 1e-4)


def test_targets(case):
    batch = len(case["clip_targets"])
    assert_close(keras.ops.softmax(10.0 * np.eye(batch, dtype="float32")), case["clip_targets"])


def test_padding_in_time(case):
    """Which frame stands at each place of a clip that is lengthened for the convolutions."""
    encoder = VisualEncoder(keras.layers.Dense(4), dim=4, depth=1, heads=1, max_frames=80)
    lengths = case["pad_lengths"]
    mask = np.arange(lengths.max()) < lengths[:, None]
    index, steps = (to_numpy(x) for x in encoder._repeated(mask, len(lengths), int(lengths.max())))
    np.testing.assert_array_equal(steps.sum(axis=1), case["pad_padded_lengths"])
    frames = index - np.arange(len(lengths))[:, None] * int(lengths.max())
    np.testing.assert_array_equal(frames[steps], case["pad_frame_index"])
    tokens = to_numpy(encoder.token_mask(mask))
    np.testing.assert_array_equal(tokens, case["pad_attention_mask"].astype(bool))
    np.testing.assert_array_equal(tokens.sum(axis=1), case["pad_token_lengths"])


def test_what_the_decoder_reads(case):
    ids = case["tgt_ids"]
    read = to_numpy(shift_right(ids, last_tokens(ids, PAD_ID)))
    real = ids != PAD_ID
    np.testing.assert_array_equal(read[real], case["tgt_decoder_ids"][real])


def test_place_of_the_sentence_vector(case):
    ids = case["tgt_ids"]
    encoder = TextTransformer(
        int(ids.max()) + 1,
        dim=4,
        depth=1,
        heads=1,
        max_length=ids.shape[1],
        pooling="last",
        padding_id=PAD_ID,
    )
    states = to_numpy(encoder.token_features(ids))
    at_place = states[np.arange(len(ids)), case["tgt_pool_position"]]
    assert_close(encoder(ids), at_place)


def test_loss_of_the_decoder(case):
    loss = SequenceCrossEntropy(float(case["lm_smoothing"]), PAD_ID)
    assert_value_and_gradient(
        lambda logits: loss(case["tgt_ids"], logits), [case["lm_logits"]], case["lm_loss"], [case["lm_grad"]]
    )
