import keras
import numpy as np
import pytest

from contrast.encoders import TransformerBlock, ViT
from tests.case import assert_close, check_every_weight_moves, check_layer, check_saved, to_numpy

IMAGES = np.random.default_rng(0).random((4, 8, 4, 3)).astype("float32")


def small(**kwargs):
    return ViT(**{"patch_size": 2, "dim": 8, "depth": 2, "heads": 2, **kwargs})


@pytest.mark.parametrize("pooling", ["mean", "class"])
def test_shapes_saving_and_training(pooling, tmp_path):
    encoder = small(pooling=pooling)
    assert tuple(encoder(keras.Input((8, 4, 3))).shape) == (None, 8)
    assert encoder.predict(IMAGES, verbose=0).shape == (4, 8) == encoder.compute_output_shape(IMAGES.shape)
    check_saved(encoder, IMAGES, tmp_path)
    check_every_weight_moves(encoder, IMAGES, np.random.default_rng(1).normal(size=(4, 8)))


def test_block(tmp_path):
    tokens = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")
    check_layer(TransformerBlock, {"heads": 2, "mlp_ratio": 2}, tokens, (3, 5, 8), tmp_path)


def normalised(x, layer):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * to_numpy(layer.gamma) + to_numpy(layer.beta)


def dense(x, layer):
    return x @ to_numpy(layer.kernel) + (to_numpy(layer.bias) if layer.use_bias else 0)


def gelu(x):
    return to_numpy(keras.activations.gelu(x))


@pytest.mark.parametrize("masked", [False, True])
def test_block_equals_a_computation_by_hand(masked):
    rng = np.random.default_rng(0)
    tokens, block = rng.normal(size=(2, 5, 8)).astype("float32"), TransformerBlock(2)
    block.build(tokens.shape)
    for weight in block.weights:
        weight.assign(rng.normal(size=weight.shape))
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    x = normalised(tokens, block.attention_norm)
    queries, keys, values = (dense(x, layer) for layer in (block.query, block.key, block.value))
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        scores = np.exp(queries[..., part] @ keys[..., part].transpose(0, 2, 1) / 2)
        scores *= mask[:, None] if masked else 1
        heads.append(scores / scores.sum(-1, keepdims=True) @ values[..., part])
    expected = tokens + dense(np.concatenate(heads, -1), block.output_projection)
    hidden = gelu(dense(normalised(expected, block.mlp_norm), block.hidden))
    expected = expected + dense(hidden, block.contract)
    assert_close(block(tokens, mask=mask) if masked else block(tokens), expected, 1e-4)


@pytest.mark.parametrize("pooling", ["mean", "class"])
def test_taps_equal_a_computation_by_hand(pooling):
    encoder = small(pooling=pooling)
    outputs = [to_numpy(tokens) for tokens in encoder.block_outputs(IMAGES)]
    patches = IMAGES.reshape(4, 4, 2, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(4, 8, 12)
    kernel = to_numpy(encoder.patches.kernel).reshape(12, 8)
    tokens = patches @ kernel + to_numpy(encoder.patches.bias) + to_numpy(encoder.places)
    if pooling == "class":
        first = np.broadcast_to(to_numpy(encoder.class_token), (4, 1, 8))
        tokens = np.concatenate([first, tokens], axis=1)
    assert_close(encoder.embed(IMAGES), tokens, 1e-5)
    for block, output in zip(encoder.blocks, outputs, strict=True):
        tokens = to_numpy(block(tokens))
        assert_close(output, tokens, 1e-5)
    last = normalised(outputs[-1], encoder.norm)
    assert_close(encoder(IMAGES), last.mean(1) if pooling == "mean" else last[:, 0], 1e-4)


def test_queries_keys_and_values_of_a_block():
    encoder = small()
    first = to_numpy(encoder.block_outputs(IMAGES)[0])
    second = encoder.blocks[1]
    x = normalised(first, second.attention_norm)
    layers = (second.query, second.key, second.value)
    for index in (1, -1):
        for tap, layer in zip(encoder.attention_inputs(IMAGES, index), layers, strict=True):
            assert_close(tap, dense(x, layer).reshape(4, 8, 2, 4).transpose(0, 2, 1, 3), 1e-4)


def test_dropout_only_in_training():
    encoder = small(dropout=0.5, seed=0)
    outputs = to_numpy(encoder(IMAGES, training=False))
    assert_close(encoder(IMAGES, training=False), outputs, 1e-7)
    assert not np.allclose(to_numpy(encoder(IMAGES, training=True)), outputs)


def test_half_precision():
    features = small(pooling="class", dtype="mixed_bfloat16")(IMAGES)
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"


def test_another_image_size_is_refused():
    encoder = small()
    encoder.build(IMAGES.shape)
    with pytest.raises(ValueError, match="built for images of"):
        encoder(IMAGES[:, :4])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: small(dim=9), "heads must divide dim"),
        (lambda: small(depth=0), "depth must be at least 1"),
        (lambda: small(pooling="max"), "pooling"),
        (lambda: small(patch_size=3)(IMAGES), "divided by the patch size 3"),
        (lambda: small()(IMAGES[0]), "batch, height, width, channels"),
        (lambda: small().attention_inputs(IMAGES, 2), "block must be from -2 to 1"),
        (lambda: TransformerBlock(0), "heads must be at least 1"),
        (lambda: TransformerBlock(3)(np.zeros((1, 2, 8), "float32")), "heads must divide"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
