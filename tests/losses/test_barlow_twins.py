import numpy as np
import pytest

from contrast.losses import BarlowTwins
from tests.case import assert_close, to_numpy
from tests.losses.numerics import assert_agrees

A, B = np.random.default_rng(1).normal(size=(2, 6, 4)) * [1, 2, 3, 4] + [0, 1, -1, 5]


def barlow_twins(a, b, redundancy=5e-3):
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (a, b))
    total = 0
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            c = (a[:, i] * b[:, j]).mean()
            total += (1 - c) ** 2 if i == j else redundancy * c**2
    return total


@pytest.mark.parametrize("redundancy", [5e-3, 0.5])
def test_equations(redundancy):
    loss = BarlowTwins(redundancy)
    assert_agrees(lambda a, b: loss(None, (a, b)), lambda a, b: barlow_twins(a, b, redundancy), A, B)


def test_a_constant_encoder_has_the_loss_of_its_width():
    assert_close(BarlowTwins()(None, np.full((5, 2, 3), 7.0, "float32")), 3.0)


def test_scale_and_offset_do_not_matter():
    expected = to_numpy(BarlowTwins()(None, (A, B)))
    assert_close(BarlowTwins()(None, (100 * A + 3, B)), expected, 1e-4)


def test_negative_redundancy():
    with pytest.raises(ValueError, match="redundancy must be at least 0, got -1"):
        BarlowTwins(-1)
