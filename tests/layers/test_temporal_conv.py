import keras
import numpy as np
import pytest

from contrast.layers.temporal_conv import TemporalConv
from tests.case import assert_close, check_layer, check_saved, to_numpy


def official(case):
    """The layer with the weights of the official code, for clips `tconv_x`."""
    layer = TemporalConv(case["tconv_kernel1"].shape[-1])
    layer.build(case["tconv_x"].shape)
    for number, (convolution, norm) in enumerate(zip(layer.convolutions, layer.norms, strict=True), start=1):
        convolution.set_weights([case[f"tconv_{name}{number}"] for name in ("kernel", "bias")])
        norm.set_weights([case[f"tconv_{name}{number}"] for name in ("gamma", "beta", "mean", "var")])
    return layer


def mask_of(lengths, steps):
    return np.arange(steps) < np.asarray(lengths)[:, None]


@pytest.mark.golden
@pytest.mark.parametrize("training", [False, True])
def test_tokens_are_those_of_the_official_code(golden, training):
    case = golden("sign_translation")
    tokens = official(case)(case["tconv_x"], training=training)
    assert_close(tokens, case["tconv_y_train" if training else "tconv_y_eval"], 1e-5)


@pytest.mark.golden
def test_mask_is_that_of_the_official_code(golden):
    case = golden("sign_translation")
    layer, clips = official(case), case["tconv_x"]
    mask = layer.compute_mask(clips, mask_of(case["pad_padded_lengths"], clips.shape[1]))
    np.testing.assert_array_equal(to_numpy(mask), case["pad_attention_mask"].astype(bool))
    counts = [layer.token_count(int(n)) for n in case["pad_padded_lengths"]]
    assert counts == case["pad_token_lengths"].tolist()


def test_layer(tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 21, 4)).astype("float32")
    check_layer(TemporalConv, {"filters": 6}, x, (3, 2, 6), tmp_path)


@pytest.mark.parametrize("spec", ["K5 P2 K5 P2", "K3 P2", "P2 K3", "K5 K5", "P3"])
def test_shortest_is_the_first_length_with_a_token(spec):
    layer = TemporalConv(2, spec.split())
    assert layer.token_count(layer.shortest) == 1
    assert layer.token_count(layer.shortest - 1) == 0


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_no_real_token(training):
    """Neither its values nor its length, when the statistics are masked."""
    rng = np.random.default_rng(0)
    layer = TemporalConv(5, masked_normalization=True)
    lengths = np.array([21, 27])
    x = rng.normal(size=(2, 27, 3)).astype("float32")
    other = np.concatenate([x, rng.normal(size=(2, 9, 3)).astype("float32")], axis=1)
    other[0, 21:] = 100.0
    short = to_numpy(layer(x, mask=mask_of(lengths, 27), training=training))
    long = to_numpy(layer(other, mask=mask_of(lengths, 36), training=training))
    real = to_numpy(layer.compute_mask(x, mask_of(lengths, 27)))
    assert real.sum(axis=1).tolist() == [2, 3]
    np.testing.assert_allclose(long[:, : short.shape[1]][real], short[real], atol=1e-5)
    unmasked = TemporalConv(5)
    unmasked.build(x.shape)
    unmasked.set_weights(layer.get_weights())
    pair = [to_numpy(unmasked(v, training=True))[:, :3][real] for v in (x, other)]
    assert np.abs(pair[0] - pair[1]).max() > 1e-2, "without the mask padding should have counted"


def test_mask_travels_through_a_functional_model(tmp_path):
    inputs = keras.Input((None, 3))
    model = keras.Model(
        inputs, keras.layers.GlobalAveragePooling1D()(TemporalConv(4)(keras.layers.Masking(9.0)(inputs)))
    )
    x = np.random.default_rng(0).normal(size=(2, 24, 3)).astype("float32")
    x[0, 20:] = 9.0
    pooled = model.predict(x, verbose=0)
    assert_close(pooled[0], model.predict(x[:1, :20], verbose=0)[0], 1e-4)
    check_saved(model, x, tmp_path)


def test_unknown_number_of_steps():
    layer = TemporalConv(4)
    assert tuple(layer(keras.Input((None, 3))).shape) == (None, None, 4)
    assert to_numpy(layer.token_count(np.array([3, 16, 19, 20]))).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filters": 0}, "filters must be at least 1, got 0"),
        ({"filters": 4, "spec": ("K5", "Q2")}, "spec must name blocks"),
        ({"filters": 4, "spec": ()}, "spec must name blocks"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        TemporalConv(**arguments)


def test_too_short_a_clip_is_refused_in_words():
    with pytest.raises(ValueError, match="at least 16 steps, got shape \\(1, 15, 3\\)"):
        TemporalConv(4)(np.zeros((1, 15, 3), "float32"))
