import numpy as np
import pytest

from contrast.losses import VICReg
from tests.case import assert_close
from tests.losses.numerics import assert_agrees

A, B = np.random.default_rng(2).normal(size=(2, 6, 4)) * [0.3, 0.6, 1.5, 3]


def vicreg(a, b, invariance=25, variance=25, covariance=1):
    n, d = a.shape
    s = sum(((a[k] - b[k]) ** 2).sum() for k in range(n)) / (n * d)
    v = c = 0
    for z in (a, b):
        C = sum(np.outer(row - z.mean(0), row - z.mean(0)) for row in z) / (n - 1)
        v += np.maximum(0, 1 - np.sqrt(np.diag(C) + 1e-4)).mean()
        c += ((C**2).sum() - (np.diag(C) ** 2).sum()) / d
    return invariance * s + variance * v / 2 + covariance * c


@pytest.mark.parametrize("weights", [(25, 25, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_equations(weights):
    loss = VICReg(*weights)
    assert_agrees(lambda a, b: loss(None, (a, b)), lambda a, b: vicreg(a, b, *weights), A, B)


def test_a_constant_encoder_is_punished_by_the_hinge_alone():
    assert_close(VICReg()(None, np.full((5, 2, 3), 7.0, "float32")), 25 * (1 - 0.01))


def test_negative_weight():
    with pytest.raises(ValueError, match="at least 0, got 25, -1 and 1"):
        VICReg(25, -1, 1)
