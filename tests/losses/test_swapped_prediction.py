import numpy as np
import pytest

from contrast.layers import Prototypes
from contrast.losses import SwappedPrediction
from tests.case import assert_close, to_numpy
from tests.losses.numerics import assert_agrees, log_softmax

rng = np.random.default_rng(5)
SCORES = np.tanh(rng.normal(size=(4, 4, 3)))
CODES = rng.dirichlet(np.ones(3), size=(4, 2))


def swapped(codes, scores, temperature=0.1):
    log_p, terms = log_softmax(scores / temperature), []
    for t in range(codes.shape[1]):
        for v in range(scores.shape[1]):
            if v != t:
                terms.append(-(codes[:, t] * log_p[:, v]).sum(1).mean())
    return np.mean(terms)


@pytest.mark.parametrize(("targets", "views"), [(2, 4), (2, 2), (1, 2)])
def test_every_view_against_the_codes_of_the_others(targets, views):
    loss = SwappedPrediction(0.2)
    codes, scores = CODES[:, :targets], SCORES[:, :views]
    oracle = lambda q, s: swapped(q, s, 0.2)  # noqa: E731
    assert_agrees(lambda q, s: loss(q, s), oracle, codes, scores, constant=(0,))


def test_codes_of_the_prototypes_layer():
    """Uniform scores: codes and predictions are uniform, and the loss is the entropy."""
    prototypes = Prototypes(3, 8)
    scores = np.zeros((6, 2, 3), "float32")
    codes = np.stack([to_numpy(prototypes.assign(scores[:, view])) for view in range(2)], axis=1)
    assert_close(SwappedPrediction()(codes, scores), np.log(3))


def test_a_view_is_not_its_own_target():
    """With two views a change of view 0's code moves only what view 1 loses."""
    codes = np.eye(3)[np.array([[0, 1]])]
    scores = np.array([[[-1, 9.0, -1], [9.0, -1, -1]]])
    assert float(to_numpy(SwappedPrediction(1.0)(codes, scores))) < 1e-3
    assert float(to_numpy(SwappedPrediction(1.0)(codes[:, ::-1].copy(), scores))) > 9


@pytest.mark.parametrize(
    ("codes", "scores", "says"),
    [
        (None, SCORES, "codes as y_true, got None"),
        (CODES, SCORES[:, :1], "at least two views"),
        (CODES[:, :1], SCORES[:, :1], "at least two views"),
        (CODES[:, :, :2], SCORES, "got shapes"),
        (CODES[:3], SCORES, "got shapes"),
        (CODES[:, 0], SCORES, "got shapes"),
    ],
)
def test_bad_shapes(codes, scores, says):
    with pytest.raises(ValueError, match=says):
        SwappedPrediction()(codes, scores)


def test_bad_temperature():
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        SwappedPrediction(0)
