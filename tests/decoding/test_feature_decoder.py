import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.decoding import FeatureDecoder, SequenceCrossEntropy, generate, shift_right
from tests.case import assert_close, check_every_weight_moves, check_saved, to_numpy

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(3, 5, 7)).astype("float32")
MASK = np.array([[True, True, True, False, False], [True] * 5, [False] * 5])
IDS = np.array([[1, 8, 3, 2, 0, 0], [1, 5, 0, 4, 4, 2], [0, 6, 2, 0, 0, 0]], "int32")
INPUTS = {"features": FEATURES, "ids": IDS, "feature_mask": MASK}


def make(**arguments):
    arguments = {"vocabulary_size": 9, "dim": 8, "depth": 2, "heads": 2, "max_length": 6, **arguments}
    keras.utils.set_random_seed(4)
    decoder = FeatureDecoder(**arguments)
    decoder.build({name: x.shape for name, x in INPUTS.items()})
    rng = np.random.default_rng(1)  # embeddings and biases start so small that mistakes would hide
    decoder.set_weights([w + rng.normal(size=w.shape) * 0.3 for w in decoder.get_weights()])
    return decoder


@pytest.mark.parametrize("tied", [False, True])
def test_steps_equal_the_full_pass(tied):
    decoder = make(tied=tied)
    expected = to_numpy(decoder(INPUTS))
    cache = decoder.start_cache(FEATURES, MASK)
    for place, logits in enumerate(steps(decoder, IDS, cache)):
        assert_close(logits, expected[:, place])


def steps(decoder, ids, cache):
    step = backend.compiled(decoder.step, lambda: decoder.variables)
    for place in range(ids.shape[1]):
        logits, cache = step(ops.convert_to_tensor(ids[:, place]), ops.convert_to_tensor(place), cache)
        yield logits


def test_rows_of_an_item_share_its_memory():
    decoder = make()
    ids = np.repeat(IDS, 2, axis=0)
    ids[1::2, 1] = 7
    rows = {name: np.repeat(value, 2, axis=0) for name, value in INPUTS.items()}
    expected = decoder.predict({**rows, "ids": ids}, batch_size=6, verbose=0)
    cache = decoder.start_cache(FEATURES, MASK)
    cache["state"] = keras.tree.map_structure(lambda x: ops.repeat(x, 2, axis=0), cache["state"])
    for place, logits in enumerate(steps(decoder, ids, cache)):
        assert_close(logits, expected[:, place])


def test_a_token_sees_itself_and_the_past_only():
    decoder, later = make(), IDS.copy()
    later[:, 3] = 7
    before, after = to_numpy(decoder(INPUTS)), to_numpy(decoder({**INPUTS, "ids": later}))
    assert_close(after[:, :3], before[:, :3])
    assert np.abs(after - before)[:, 3].max() > 0.01 and np.abs(after - before)[1, 4].max() > 0.001


def test_padding_is_not_seen():
    decoder = make()
    expected = to_numpy(decoder(INPUTS))
    noisy = np.where(MASK[:, :, None], FEATURES, np.float32(np.nan))
    assert_close(decoder({**INPUTS, "features": noisy}), expected)
    assert np.isfinite(expected).all()

    shorter = {"features": FEATURES[:1, :3], "ids": IDS[:1]}
    assert_close(decoder(shorter), expected[:1])

    # Text 1 has padding at place 2, which the tokens behind it do not see.
    table = to_numpy(decoder.embedding.embeddings) * np.where(np.arange(9) == 0, -3, 1)[:, None]
    decoder.embedding.embeddings.assign(table)
    changed = np.abs(to_numpy(decoder(INPUTS)) - expected)[1].max(axis=-1)
    assert changed[2] > 0.01 and changed[[0, 1, 3, 4, 5]].max() < 1e-5


def test_features_matter_but_for_the_item_without_any():
    decoder = make()
    changed = np.abs(to_numpy(decoder({**INPUTS, "features": -FEATURES})) - to_numpy(decoder(INPUTS)))
    assert changed[:2].max(axis=(1, 2)).min() > 0.01 and changed[2].max() == 0


def test_cross_attention():
    weights = to_numpy(make().cross_attention(INPUTS))
    assert weights.shape == (3, 2, 6, 5)
    assert_close(weights.sum(axis=-1)[:2], np.ones((2, 2, 6)))
    assert not weights[0, ..., 3:].any() and not weights[2].any()


def test_saved_and_trained(tmp_path):
    decoder = make(tied=True, dropout=0.1, seed=3, activation="relu")
    assert FeatureDecoder.from_config(decoder.get_config()).get_config() == decoder.get_config()
    check_saved(decoder, INPUTS, tmp_path)
    check_every_weight_moves(make(), INPUTS, np.roll(IDS, -1, axis=1), loss=SequenceCrossEntropy())


def test_in_a_functional_model_without_mask():
    decoder = make(depth=1)
    features, ids = keras.Input((None, 7)), keras.Input((None,), dtype="int32")
    logits = decoder({"features": features, "ids": ids})
    assert tuple(logits.shape) == (None, None, 9)
    model = keras.Model([features, ids], logits)
    assert_close(model([FEATURES, IDS]), to_numpy(decoder({"features": FEATURES, "ids": IDS})))


def test_dropout_has_a_seed_and_rests_in_inference():
    def draws():
        decoder = make(dropout=0.5, seed=5)
        return to_numpy(decoder(INPUTS, training=True)), decoder

    first, decoder = draws()
    assert_close(draws()[0], first, 1e-6)
    assert np.abs(to_numpy(decoder(INPUTS, training=True)) - first).max() > 0.01
    assert_close(decoder(INPUTS), to_numpy(make()(INPUTS)))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(precision):
    decoder, exact = make(dtype=precision), make()
    expected = to_numpy(exact(INPUTS))
    logits = backend.compiled(decoder.__call__, lambda: decoder.variables)(INPUTS)
    assert keras.backend.standardize_dtype(logits.dtype) == precision.removeprefix("mixed_")
    assert_close(ops.cast(logits, "float32"), expected, 0.1)
    logits = next(steps(decoder, IDS, decoder.start_cache(FEATURES, MASK, length=2)))
    assert_close(ops.cast(logits, "float32"), expected[:, 0], 0.1)


@pytest.mark.once
def test_learns_to_translate():
    rng = np.random.default_rng(2)
    symbols, dictionary = rng.normal(size=(6, 12)), rng.permutation(6) + 3

    def corpus(count):
        signs, lengths = rng.integers(0, 6, (count, 4)), rng.integers(1, 5, count)
        real = np.arange(5) < lengths[:, None]
        features = symbols[signs] + rng.normal(size=(count, 4, 12)) * 0.3 + np.eye(4, 12) * 4
        texts = np.where(real, np.pad(dictionary[signs], ((0, 0), (0, 1))), 0)
        texts[np.arange(count), lengths] = 2
        return features.astype("float32"), real[:, :4], texts

    features, mask, texts = corpus(512)
    decoder = FeatureDecoder(vocabulary_size=9, dim=32, depth=1, heads=2, max_length=5, seed=0)
    decoder.compile(keras.optimizers.Adam(1e-2), loss=SequenceCrossEntropy(label_smoothing=0.05))
    inputs = {"features": features, "feature_mask": mask, "ids": to_numpy(shift_right(texts, 1))}
    decoder.fit(inputs, texts, batch_size=32, epochs=8, verbose=0)

    features, mask, texts = corpus(100)
    settings = {"start_id": 1, "end_id": 2, "max_length": 5}
    right = (generate(decoder, features, mask, **settings).tokens == texts).all(axis=1)
    assert right.mean() > 0.9
    shuffled = generate(decoder, features[::-1], mask, **settings).tokens
    assert (shuffled == texts).all(axis=1).mean() < 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 3}, "heads must divide dim, got 3 heads and dim 8"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"padding_id": 9}, "padding_id must be from 0 to vocabulary_size - 1 = 8, got 9"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"features": FEATURES[0]}, r"features must be \(batch, source, dim\), got shape \(5, 7\)"),
        ({"feature_mask": MASK[:, :4]}, r"feature_mask must be .* got shape \(3, 4\)"),
        ({"ids": IDS.astype("float32")}, "ids must be integers"),
        ({"ids": np.ones((3, 7), "int32")}, "at most max_length=6 long, got 7"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        make()({**INPUTS, **inputs})


def test_bad_cache():
    with pytest.raises(ValueError, match="length must be from 1 to max_length=6, got 7"):
        make().start_cache(FEATURES, MASK, length=7)
    with pytest.raises(ValueError, match="no weights yet"):
        FeatureDecoder(vocabulary_size=9).start_cache(FEATURES)
