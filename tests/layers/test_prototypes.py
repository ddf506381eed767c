import keras
import numpy as np
import pytest
from keras import ops

from contrast.layers import Prototypes
from contrast.losses import total_loss
from contrast.ops import sinkhorn
from tests.case import assert_close, check_layer, to_numpy

FEATURES = np.random.default_rng(0).normal(size=(6, 8)).astype("float32")


class Swapped(keras.Model):
    """Predicts the assignment of each sample's mirror image in the batch."""

    def __init__(self):
        super().__init__()
        self.prototypes = Prototypes(3, 8, temperature=0.1)

    def call(self, inputs):
        return self.prototypes(inputs)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        targets = self.prototypes.assign(ops.flip(y_pred, axis=0))
        return total_loss(self, mean=-ops.mean(targets * ops.log_softmax(y_pred / 0.1)))


def test_prototypes(tmp_path):
    check_layer(Prototypes, {"count": 3, "dim": 8}, FEATURES, (6, 3), tmp_path)


def test_scores_are_cosines():
    layer = Prototypes(3, 8)
    weights = to_numpy(layer.prototypes)
    expected = FEATURES @ weights.T / np.linalg.norm(FEATURES, axis=1)[:, None]
    assert_close(layer(FEATURES), expected / np.linalg.norm(weights, axis=1))
    np.testing.assert_allclose(np.linalg.norm(to_numpy(layer.vectors), axis=1), 1, rtol=1e-5)
    assert_close(layer.assign(layer(FEATURES)), to_numpy(sinkhorn(layer(FEATURES), 0.05, 3)))


def test_fit_trains_prototypes_towards_assignments_that_have_no_gradient():
    model = Swapped()
    model.compile(keras.optimizers.SGD(0.5))
    first, *_, last = model.fit(FEATURES, batch_size=6, epochs=10, shuffle=False, verbose=0).history["loss"]
    assert last < first

    before = to_numpy(model.prototypes.prototypes)
    scores = to_numpy(model.prototypes(FEATURES))
    targets = to_numpy(model.prototypes.assign(scores[::-1].copy()))

    def loss(weights):
        units = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        logits = FEATURES @ units.T / np.linalg.norm(FEATURES, axis=1)[:, None] / 0.1
        logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -(targets * logits).mean()

    gradient, step = np.zeros(before.shape), 1e-4
    for index in np.ndindex(*before.shape):
        shift = np.zeros(before.shape)
        shift[index] = step
        gradient[index] = (loss(before + shift) - loss(before - shift)) / (2 * step)
    model.fit(FEATURES, batch_size=6, shuffle=False, verbose=0)
    moved = (before - to_numpy(model.prototypes.prototypes)) / 0.5
    np.testing.assert_allclose(moved, gradient, atol=1e-3 * np.abs(gradient).max() + 1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0, "dim": 8}, "count"),
        ({"count": 3, "dim": 8, "temperature": 0.0}, "temperature"),
        ({"count": 3, "dim": 8, "iterations": 0}, "iterations"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Prototypes(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match="8 entries"):
        Prototypes(3, 8)(FEATURES[:, :5])
