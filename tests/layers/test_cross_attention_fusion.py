import keras
import numpy as np
import pytest

from contrast import backend
from contrast.layers import CrossAttentionFusion
from tests.case import assert_close, check_every_weight_moves, check_saved, to_numpy

rng = np.random.default_rng(0)
ANCHORS = rng.normal(size=(3, 4, 8)).astype("float32")
COMPANIONS = rng.normal(size=(3, 2, 3, 8)).astype("float32")
PRESENT = np.array([[True, True], [False, True], [False, False]])


def small(**kwargs):
    """The same weights at each call, larger than at the start of a training, so that what is seen counts."""
    keras.utils.set_random_seed(0)
    layer = CrossAttentionFusion(**{"depth": 2, "heads": 2, "head_dim": 3, "mlp_dim": 5, **kwargs})
    layer.build(ANCHORS.shape, COMPANIONS.shape)
    draws = np.random.default_rng(1)
    layer.set_weights([weight + 0.5 * draws.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def with_garbage(garbage):
    return np.where(PRESENT[:, :, None, None], COMPANIONS, garbage).astype("float32")


def official(golden):
    """The layer with the weights of the official code, and its ragged batch in slots of companions."""
    case = golden("report_generation")
    depth, tokens = int(case["mlf_depth"]), case["mlf_tokens"]
    layer = CrossAttentionFusion(depth=depth, heads=int(case["mlf_heads"]))
    rows = {image: row for row, image in enumerate(case["group_image"])}
    anchors = np.stack([tokens[rows[image]] for image in case["group_anchor_image"]])
    images = np.concatenate([case["group_aux_images"], case["group_prior_image"][:, None]], axis=1)
    present = images >= 0
    companions = np.stack([[tokens[rows.get(image, 0)] for image in row] for row in images])
    layer.build(anchors.shape, companions.shape)
    for number, block in enumerate(layer.blocks):
        part = {key.removeprefix(f"mlf_{number}_"): value for key, value in case.items()}
        dense = {"query": "q", "value": "v", "output_projection": "o", "hidden": "ff1", "contract": "ff2"}
        for ours, theirs in dense.items():
            getattr(block, ours).set_weights([part[f"{theirs}_kernel"], part[f"{theirs}_bias"]])
        block.key.set_weights([part["k_kernel"]])
        for ours, theirs in {"query_norm": "ln_q", "context_norm": "ln_kv", "mlp_norm": "ln_ff"}.items():
            getattr(block, ours).set_weights([part[f"{theirs}_gamma"], part[f"{theirs}_beta"]])
    layer.norm.set_weights([case["mlf_out_gamma"], case["mlf_out_beta"]])
    return layer, anchors, companions, present, case["mlf_fused"]


@pytest.mark.golden
@pytest.mark.parametrize("garbage", [0, 1e3, np.nan])
def test_slots_equal_the_official_ragged_loop(golden, garbage):
    layer, anchors, companions, present, expected = official(golden)
    assert present.any(axis=1).any() and not present.any(axis=1).all(), (
        "both kinds of anchors are in the file"
    )
    companions = np.where(present[:, :, None, None], companions, garbage).astype("float32")
    assert_close(layer(anchors, companions, present), expected)
    _, gradients = backend.value_and_grad(
        lambda q, c: keras.ops.sum(keras.ops.square(layer(q, c, present))), anchors, companions
    )
    for gradient in map(to_numpy, gradients):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    assert not to_numpy(gradients[1])[~present].any()


def test_an_anchor_without_companions_is_left_as_it_came():
    fused = to_numpy(small()(ANCHORS, COMPANIONS, PRESENT))
    np.testing.assert_array_equal(fused[2], ANCHORS[2])
    assert np.abs(fused[:2] - ANCHORS[:2]).max() > 0.1


def test_each_anchor_reads_its_own_present_companions():
    layer = small()
    fused = to_numpy(layer(ANCHORS, COMPANIONS, PRESENT))
    assert_close(to_numpy(layer(ANCHORS, COMPANIONS))[0], fused[0])
    # A second copy of a companion says nothing new.
    assert_close(to_numpy(layer(ANCHORS, COMPANIONS[:, [1, 1]]))[1], fused[1])
    assert_close(layer(ANCHORS, COMPANIONS[:, ::-1], PRESENT[:, ::-1]), fused)
    other = to_numpy(layer(ANCHORS, COMPANIONS[[1, 0, 2]], PRESENT))
    assert np.abs(other[:2] - fused[:2]).max() > 0.1


@pytest.mark.parametrize("garbage", [1e6, np.inf, np.nan])
def test_absent_companions_change_neither_values_nor_gradients(garbage):
    layer = small()
    weight = rng.normal(size=ANCHORS.shape).astype("float32")

    def loss(anchors, companions):
        return keras.ops.sum(keras.ops.multiply(layer(anchors, companions, PRESENT), weight))

    value, gradients = backend.value_and_grad(loss, ANCHORS, with_garbage(0))
    same, others = backend.value_and_grad(loss, ANCHORS, with_garbage(garbage))
    assert_close(same, to_numpy(value), 1e-6)
    for ours, theirs in zip(others, gradients, strict=True):
        assert_close(ours, to_numpy(theirs), 1e-6)
    assert not to_numpy(others[1])[~PRESENT].any()
    assert_close(others[0][2], weight[2])


def test_training_on_absent_companions_keeps_weights_finite():
    model = functional(small())
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    for present in (PRESENT, np.zeros_like(PRESENT)):
        inputs = [ANCHORS, with_garbage(np.nan), present]
        history = model.fit(inputs, np.zeros((3, 4, 1), "float32"), verbose=0)
        assert np.isfinite(history.history["loss"][0])
        assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_attention():
    layer = small()
    weights = to_numpy(layer.attention(ANCHORS, with_garbage(np.nan), PRESENT))
    assert weights.shape == (3, 2, 4, 2, 3)
    assert_close(weights.sum(axis=(3, 4)), np.broadcast_to([[[1.0]], [[1.0]], [[0.0]]], (3, 2, 4)))
    assert not weights[1, :, :, 0].any() and (weights[1, :, :, 1] > 0).all()
    assert_close(to_numpy(layer.attention(ANCHORS, COMPANIONS))[0], weights[0])


def test_attention_finds_the_companion_token_that_is_asked_for():
    """With large and equal projections of queries and keys a token looks at its own copy."""
    layer = CrossAttentionFusion(depth=1, heads=1, head_dim=8)
    layer.build((1, 4, 8), (1, 2, 2, 8))
    for projection in (layer.blocks[0].query, layer.blocks[0].key):
        projection.kernel.assign(9 * np.eye(8))
    weights = to_numpy(layer.attention(ANCHORS[:1], ANCHORS[:1].reshape(1, 2, 2, 8)))
    assert (weights[0, 0].reshape(4, 4).argmax(axis=1) == np.arange(4)).all()


def functional(layer):
    inputs = [
        keras.Input((None, 8)),
        keras.Input((2, None, 8)),
        keras.Input((2,), dtype="bool"),
    ]
    outputs = layer(*inputs)
    assert tuple(outputs.shape) == (None, None, 8)
    return keras.Model(inputs, keras.layers.Dense(1)(outputs))


def test_saving_and_training(tmp_path):
    layer = CrossAttentionFusion(depth=2, heads=2, dropout=0.1, seed=3)
    model, inputs = functional(layer), [ANCHORS, COMPANIONS, PRESENT]
    check_saved(model, inputs, tmp_path)
    check_every_weight_moves(model, inputs, rng.normal(size=(3, 4, 1)))
    copy = CrossAttentionFusion.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert layer.compute_output_shape(ANCHORS.shape, COMPANIONS.shape) == ANCHORS.shape


def test_widths_that_are_not_given_follow_the_tokens():
    layer = CrossAttentionFusion(depth=1, heads=8)
    layer.build(ANCHORS.shape, COMPANIONS.shape)
    block = layer.blocks[0]
    assert block.query.kernel.shape == (8, 8 * 2) and block.hidden.kernel.shape == (8, 8)
    given = small(depth=1).blocks[0]
    assert given.query.kernel.shape == (8, 2 * 3) and given.hidden.kernel.shape == (8, 5)


def test_dropout_is_of_training_only():
    layer = small(dropout=0.5, seed=0)
    quiet, same = (to_numpy(layer(ANCHORS, COMPANIONS, PRESENT, training=False)) for _ in range(2))
    np.testing.assert_array_equal(quiet, same)
    noisy = to_numpy(layer(ANCHORS, COMPANIONS, PRESENT, training=True))
    assert np.abs(noisy[:2] - quiet[:2]).max() > 0.1
    np.testing.assert_array_equal(noisy[2], ANCHORS[2])


def test_half_precision():
    layer = small(dtype="mixed_float16")
    fused = layer(ANCHORS, with_garbage(np.nan), PRESENT)
    assert keras.backend.standardize_dtype(fused.dtype) == "float16"
    fused = to_numpy(keras.ops.cast(fused, "float32"))
    assert_close(fused, to_numpy(small()(ANCHORS, COMPANIONS, PRESENT)), 0.01)
    assert np.isfinite(to_numpy(layer.attention(ANCHORS, COMPANIONS, PRESENT))).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CrossAttentionFusion(depth=0), "depth must be at least 1, got 0"),
        (lambda: CrossAttentionFusion(heads=0), "heads must be at least 1"),
        (lambda: CrossAttentionFusion(head_dim=0), "head_dim must be at least 1"),
        (lambda: CrossAttentionFusion(mlp_dim=0), "mlp_dim must be at least 1"),
        (lambda: CrossAttentionFusion()(ANCHORS[..., :3], COMPANIONS[..., :3]), "only 3"),
        (lambda: small()(ANCHORS, COMPANIONS[:, 0]), "companions .batch, slots"),
        (lambda: small()(ANCHORS, COMPANIONS[:2]), "same batch and dim"),
        (lambda: small()(ANCHORS, COMPANIONS[..., :4]), "same batch and dim"),
        (lambda: small()(ANCHORS, COMPANIONS[:, :0]), "at least one slot"),
        (
            lambda: small()(ANCHORS, COMPANIONS, PRESENT[:, :1]),
            r"companion_mask .* \(3, 2\), got shape \(3, 1\)",
        ),
        (lambda: small().attention(ANCHORS, COMPANIONS, PRESENT[0]), r"companion_mask .* got shape \(2,\)"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
