import keras
import numpy as np
import pytest

from contrast import backend
from contrast.layers import FoldViews, ProjectionHead, Temperature
from tests.case import assert_close, check_layer, to_numpy

rng = np.random.default_rng(0)
FEATURES = rng.normal(size=(6, 8)).astype("float32")
TOKENS = rng.normal(size=(6, 3, 8)).astype("float32")


@pytest.mark.parametrize(
    "arguments",
    [
        {"dims": (5, 4)},
        {"dims": (5, 4), "batch_norm": True, "activation": "gelu"},
        {"dims": (5, 6, 4), "use_bias": (False, True, True), "normalize": True},
        {"dims": (4,)},
    ],
)
def test_projection_head(arguments, tmp_path):
    check_layer(ProjectionHead, arguments, FEATURES, (6, 4), tmp_path)


def test_projection_head_on_tokens(tmp_path):
    check_layer(ProjectionHead, {"dims": (5, 4), "batch_norm": True}, TOKENS, (6, 3, 4), tmp_path)


@pytest.mark.golden
def test_projection_head_matches_official_code(golden):
    case = golden("report_generation")
    head = ProjectionHead((case["proj_kernel1"].shape[1], case["proj_kernel2"].shape[1]), batch_norm=True)
    head.build(case["proj_x"].shape)
    first, second, norm = head.dense[0], head.dense[1], head.norms[0]
    first.set_weights([case["proj_kernel1"], case["proj_bias1"]])
    second.set_weights([case["proj_kernel2"], case["proj_bias2"]])
    norm.set_weights([case[f"proj_{part}"] for part in ("gamma", "beta", "mean", "var")])
    assert_close(head(case["proj_x"], training=False), case["proj_y_eval"])
    assert_close(head(case["proj_x"], training=True), case["proj_y_train"])


def test_a_mask_keeps_padding_out_of_batch_statistics():
    head = ProjectionHead((5, 4), batch_norm=True)
    mask = np.array([[True, True, False]] * 6)
    padded = np.where(mask[..., None], TOKENS, 1e3).astype("float32")
    clean = to_numpy(head(TOKENS[:, :2], training=True))
    assert_close(head(padded, training=True, mask=mask)[:, :2], clean, 1e-4)


def test_normalized_outputs_have_unit_length():
    outputs = to_numpy(ProjectionHead((4,), normalize=True)(FEATURES))
    np.testing.assert_allclose(np.linalg.norm(outputs, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("arguments", [{"dims": ()}, {"dims": (0,)}, {"dims": (4, 4), "use_bias": (True,)}])
def test_projection_head_bad_arguments(arguments):
    with pytest.raises(ValueError, match="dims|use_bias"):
        ProjectionHead(**arguments)


def test_temperature(tmp_path):
    check_layer(Temperature, {"initial": 0.5}, FEATURES, (6, 8), tmp_path)
    layer = Temperature(0.5)
    assert_close(layer.value, 0.5)
    assert_close(layer(FEATURES), 2 * FEATURES)


def test_temperature_stays_in_its_bounds_and_comes_back():
    layer = Temperature(0.5, minimum=0.1, maximum=1.0)
    layer.log_inverse.assign(10.0)
    assert_close(layer.value, 0.1)
    layer.log_inverse.assign(-10.0)
    assert_close(layer.value, 1.0)

    inputs = keras.Input((8,))
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(1e-3), loss="mse")
    model.fit(FEATURES, 2 * FEATURES, verbose=0)
    assert float(to_numpy(layer.log_inverse)) > -10.0, "the gradient leads back between the bounds"
    with pytest.raises(ValueError, match="minimum"):
        Temperature(0.001)


def test_fold_views(tmp_path):
    check_layer(FoldViews, {"layer": keras.layers.Dense(4)}, TOKENS, (6, 3, 4), tmp_path, precision=False)


def test_fold_views_shares_batch_statistics():
    norm = keras.layers.BatchNormalization()
    folded = to_numpy(FoldViews(norm)(TOKENS, training=True))
    np.testing.assert_allclose(folded.mean(axis=(0, 1)), 0, atol=1e-5)


def test_value_and_grad_of_an_unused_tensor_is_zero():
    value, (used, unused) = backend.value_and_grad(lambda x, y: keras.ops.sum(x * x), FEATURES, TOKENS)
    assert_close(value, (FEATURES**2).sum())
    assert_close(used, 2 * FEATURES)
    assert_close(unused, np.zeros_like(TOKENS))
