import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.layers import LogitBias, Temperature
from contrast.losses import SigmoidContrastive, total_loss
from contrast.ops import Pairs, pairwise_sigmoid
from tests.case import assert_close, assert_value_and_gradient, check_layer, to_numpy
from tests.losses.numerics import numerical_gradient, unit

rng = np.random.default_rng(4)
QUERIES, KEYS = rng.normal(size=(2, 7, 5))
IDS = np.array([0, 0, 1, 2, 2, 2, 3])


def sigmoid_loss(queries, keys, temperature=0.1, bias=-10.0, positives=None, candidates=None):
    """Each pair by itself."""
    queries, keys = unit(queries), unit(keys)
    total = 0
    for i in range(len(queries)):
        for j in range(len(keys)):
            y = 1 if (i == j if positives is None else positives[i, j]) else -1
            if candidates is None or candidates[i, j]:
                total += np.log1p(np.exp(-y * (queries[i] @ keys[j] / temperature + bias)))
    return total / len(queries)


@pytest.mark.parametrize("tile_size", [None, 3, 7])
def test_equation_on_both_sides_with_temperature_and_bias(tile_size, monkeypatch):
    """Values and gradients for queries, keys, temperature and bias; rows and columns in several tiles."""
    monkeypatch.setattr("contrast.ops.tiled._TILE_ENTRIES", 0)
    arrays = [QUERIES, KEYS, np.array(0.3), np.array(-1.5)]

    def loss(queries, keys, temperature, bias):
        layer = SigmoidContrastive(0.3, tile_size=tile_size)
        layer.temperature, layer.bias = temperature, bias
        return layer(None, (queries, keys))

    gradients = [
        numerical_gradient(lambda x, n=n: sigmoid_loss(*arrays[:n], x, *arrays[n + 1 :]), arrays[n])
        for n in range(4)
    ]
    value = np.asarray(sigmoid_loss(*arrays))
    assert_value_and_gradient(loss, [a.astype("float32") for a in arrays], value, gradients)


def test_the_papers_start():
    """log(1 + e**-b) for each positive pair of cosine 0, and almost nothing for the others."""
    loss = SigmoidContrastive()
    eye = np.eye(8)
    assert_close(loss(None, (eye[:4], eye[4:])), 10 + np.log1p(np.exp(-10)) + 3 * np.log1p(np.exp(-10)))
    assert_close(loss(None, (QUERIES, KEYS)), sigmoid_loss(QUERIES, KEYS))


def test_ids():
    same = IDS[:, None] == IDS
    expected = sigmoid_loss(QUERIES, KEYS, 0.2, -2.0, positives=same)
    assert_close(SigmoidContrastive(0.2, -2.0, same_id="positive")(IDS, (QUERIES, KEYS)), expected)
    seen = ~same | np.eye(7, dtype=bool)
    expected = sigmoid_loss(QUERIES, KEYS, 0.2, -2.0, candidates=seen)
    assert_close(SigmoidContrastive(0.2, -2.0)(IDS, (QUERIES, KEYS)), expected)


def test_negatives_and_mask():
    negatives = rng.normal(size=(3, 5))
    expected = sigmoid_loss(QUERIES, np.concatenate([KEYS, negatives]), 0.2, -2.0)
    loss = SigmoidContrastive(0.2, -2.0, tile_size=4)
    assert_close(loss(None, (QUERIES, KEYS), negatives=negatives), expected)
    own = np.repeat(negatives[None], 7, axis=0)
    assert_close(loss(None, (QUERIES, KEYS), negatives=own), expected)
    mask = rng.random((7, 7)) < 0.5
    expected = sigmoid_loss(QUERIES, KEYS, 0.2, -2.0, candidates=mask)
    assert_close(loss(None, (QUERIES, KEYS), candidate_mask=mask), expected)


def test_it_is_symmetric():
    expected = to_numpy(SigmoidContrastive()(None, (QUERIES, KEYS)))
    assert_close(SigmoidContrastive()(None, (KEYS, QUERIES)), expected)


def test_a_batch_of_one_is_one_question():
    value, (gradient,) = backend.value_and_grad(
        lambda q: SigmoidContrastive()(None, (q, KEYS[:1])), QUERIES[:1].astype("float32")
    )
    assert_close(value, sigmoid_loss(QUERIES[:1], KEYS[:1]))
    assert np.abs(to_numpy(gradient)).max() > 0.1


def test_extreme_logits_have_finite_gradients():
    loss = SigmoidContrastive(1e-4)
    value, (gradient,) = backend.value_and_grad(lambda z: loss(None, z), np.ones((4, 2, 3), "float32"))
    assert_close(value, 3 * (1e4 - 10))
    assert np.isfinite(to_numpy(gradient)).all()


class Owner(keras.Model):
    def __init__(self):
        super().__init__()
        self.temperature, self.bias = Temperature(0.2), LogitBias(-2.0)
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        loss = SigmoidContrastive(self.temperature, self.bias, tile_size=3)
        return total_loss(self, loss=loss(y, y_pred, sample_weight))


def test_learned_temperature_and_bias_move():
    """The batch is unknown to TensorFlow, since the last one is smaller."""
    model = Owner()
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(np.stack([QUERIES, KEYS], axis=1).astype("float32"), batch_size=4, verbose=0)
    assert abs(float(to_numpy(model.temperature.value)) - 0.2) > 1e-3
    assert abs(float(to_numpy(model.bias.value)) + 2) > 1e-3


def test_a_layer_inside_compile_is_refused():
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", loss=SigmoidContrastive(bias=LogitBias(name="shift")))
    with pytest.raises(TypeError, match="holds the layer 'shift'.*attribute of the model"):
        model.fit(np.ones((4, 2, 5)), verbose=0)
    with pytest.raises(TypeError, match="the model owns"):
        SigmoidContrastive(bias=LogitBias()).get_config()


def test_logit_bias(tmp_path):
    inputs = rng.normal(size=(4, 3)).astype("float32")
    check_layer(LogitBias, {"initial": -3.0}, inputs, (4, 3), tmp_path)
    assert_close(LogitBias(-3.0)(inputs), inputs - 3)


def test_memory_is_that_of_tiles():
    """Forward and backward look at tiles of two rows and two columns only."""
    pairs = Pairs(ops.arange(6), ops.arange(6))
    rows = QUERIES[:6].astype("float32")
    shapes = []
    original = Pairs.tile

    def tile(self, *numbers):
        result = original(self, *numbers)
        shapes.append(tuple(result[0].shape))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrast.ops.tiled._TILE_ENTRIES", 0)
        patch.setattr(Pairs, "tile", tile)
        backend.value_and_grad(lambda x: ops.sum(pairwise_sigmoid(x, x, pairs, tile_size=2)), rows)
    assert shapes
    assert set(shapes) <= {(2, 2), (None, None), (2, None), (None, 2)}


def test_bad_arguments():
    with pytest.raises(ValueError, match="two views"):
        SigmoidContrastive()(None, np.ones((4, 3, 2)))
    with pytest.raises(ValueError, match="same_id"):
        SigmoidContrastive(same_id="shared")
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        SigmoidContrastive(temperature=0)
