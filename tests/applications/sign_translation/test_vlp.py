import keras
import numpy as np
import pytest

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.recipes import VLPRecipe
from applications.sign_translation.stage_one import VLP, clip_sentence_loss
from applications.sign_translation.stages import new_model
from contrast import backend
from contrast.losses import InfoNCE
from tests.case import assert_close, check_saved, to_numpy

TINY = Architecture.small(12, (6,), dim=8, depth=1, text_depth=1, heads=2, text_heads=2, max_frames=20)


def batch(count=4, seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(5, 11, (count, 5))
    tokens[:, 3:] = 2, 11
    masked = tokens.copy()
    masked[:, 2] = 4
    lengths = rng.integers(5, 13, count)
    return {
        "frames": rng.normal(size=(count, 12, 6)).astype("float32"),
        "frame_mask": np.arange(12) < lengths[:, None],
        "tokens": tokens.astype("int32"),
        "masked_tokens": masked.astype("int32"),
    }


def test_every_weight_of_both_parts_moves(tmp_path):
    model = new_model(VLP(TINY), batch()["tokens"])
    model.compile(VLPRecipe.small(1, warmup_steps=0, learning_rate=0.01).optimizer(10))
    before = {w.path: to_numpy(w) for w in model.trainable_variables}
    model.train_on_batch(batch())
    still = [w.path for w in model.trainable_variables if np.array_equal(to_numpy(w), before[w.path])]
    # The embeddings of tokens that stand in no sentence move by weight decay alone.
    assert not still
    check_saved(model, batch(), tmp_path)


def test_restoration_trains_the_decoder_only():
    model = new_model(VLP(TINY, restoration_weight=1.0), batch()["tokens"])
    inputs = {name: keras.ops.convert_to_tensor(value) for name, value in batch().items()}

    def restored(*values):
        with keras.StatelessScope(list(zip(model.trainable_variables, values, strict=True))):
            return keras.ops.sum(keras.ops.square(model(inputs)["logits"]))

    values = [to_numpy(weight) for weight in model.trainable_variables]
    gradients = backend.value_and_grad(restored, *values)[1]
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        moved = gradient is not None and np.abs(to_numpy(gradient)).max() > 0
        assert moved == weight.path.startswith(("decoder", "vlp/decoder", model.name + "/decoder")), (
            weight.path
        )


def test_decoder_moves_every_third_step():
    """The official rhythm, with an optimiser of its own."""
    model = new_model(VLP(TINY), batch()["tokens"])
    model.compile(VLPRecipe(restoration_every=3).optimizer(10))
    decoder, encoder = model.decoder.norm.gamma, model.text_encoder.norm.gamma
    moved = []
    for _ in range(4):
        before = to_numpy(decoder), to_numpy(encoder)
        model.train_on_batch(batch())
        moved.append(
            [not np.array_equal(to_numpy(w), b) for w, b in zip((decoder, encoder), before, strict=True)]
        )
    assert moved == [[False, True], [False, True], [True, True], [False, True]]


def test_temperature_moves_and_losses_are_logged():
    model = new_model(VLP(TINY, restoration=False), batch()["tokens"])
    model.compile(VLPRecipe.small(1).optimizer(40, restoration=False))
    before = float(to_numpy(model.temperature.log_inverse))
    logs = [model.train_on_batch(batch(), return_dict=True) for _ in range(3)][-1]
    assert set(logs) == {"loss", "contrast_loss"}
    assert float(to_numpy(model.temperature.log_inverse)) != before
    assert model.decoder is None


def test_padding_changes_no_vector():
    model = new_model(VLP(TINY), batch()["tokens"])
    inputs = batch()
    outputs = model(inputs)
    longer = {
        "frames": np.pad(inputs["frames"], [[0, 0], [0, 4], [0, 0]], constant_values=9),
        "frame_mask": np.pad(inputs["frame_mask"], [[0, 0], [0, 4]]),
        "tokens": np.pad(inputs["tokens"], [[0, 0], [0, 2]], constant_values=1),
        "masked_tokens": np.pad(inputs["masked_tokens"], [[0, 0], [0, 2]], constant_values=1),
    }
    others = model(longer)
    for name in ("clips", "sentences"):
        assert_close(others[name], to_numpy(outputs[name]), 1e-5)
    assert_close(others["logits"][:, :5], to_numpy(outputs["logits"]), 1e-5)


def test_equal_sentences_can_be_left_out():
    rng = np.random.default_rng(0)
    clips, sentences = rng.normal(size=(2, 4, 6)).astype("float32")
    same = np.eye(4, dtype=bool)
    same[0, 1] = same[1, 0] = True
    loss = float(to_numpy(clip_sentence_loss(clips, sentences, 0.5, same_sentence=same)))
    assert_close(loss, _reference(clips, sentences, 0.5, same), 1e-5)
    alone = np.eye(4, dtype=bool)
    assert_close(
        clip_sentence_loss(clips, sentences, 0.5, same_sentence=alone),
        to_numpy(clip_sentence_loss(clips, sentences, 0.5)),
    )
    assert abs(loss - float(to_numpy(clip_sentence_loss(clips, sentences, 0.5)))) > 1e-3


def _reference(clips, sentences, temperature, same, sharpness=10.0):
    clips = clips / np.linalg.norm(clips, axis=1, keepdims=True)
    sentences = sentences / np.linalg.norm(sentences, axis=1, keepdims=True)
    logits = clips @ sentences.T / temperature
    keep = ~same | np.eye(len(clips), dtype=bool)

    def softmax(x):
        e = np.where(keep, np.exp(x), 0)
        return e / e.sum(axis=1, keepdims=True)

    target = softmax(sharpness * np.eye(len(clips)))
    total = 0
    for x in (logits, logits.T):
        total += np.where(keep, target * np.log(np.where(keep, target / np.where(keep, softmax(x), 1), 1)), 0)
    return np.float32(0.5 * total.sum(axis=1).mean())


def test_infinite_sharpness_is_infonce():
    clips, sentences = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    expected = InfoNCE(0.5, symmetric=True)(None, (clips, sentences))
    assert_close(clip_sentence_loss(clips, sentences, 0.5, sharpness=np.inf), to_numpy(expected))


def test_batch_of_one_has_nothing_to_tell_apart():
    one = np.ones((1, 4), "float32")
    assert abs(float(to_numpy(clip_sentence_loss(one, one, 0.07)))) < 1e-6


def test_config():
    model = VLP(TINY, restoration=False, sharpness=np.inf, same_sentence="ignore", temperature=0.1)
    assert VLP.from_config(model.get_config()).get_config() == model.get_config()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"same_sentence": "positive"}, "same_sentence must be 'negative' or 'ignore'"),
        ({"restoration_weight": -1}, "restoration_weight must be at least 0, got -1"),
        ({"label_smoothing": 1.5}, "label smoothing must be from 0 to below 1, got 1.5"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        VLP(TINY, **arguments)
