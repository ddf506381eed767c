import numpy as np
import pytest

from contrast.losses import NegativeCosine
from tests.case import assert_close, to_numpy
from tests.losses.numerics import assert_agrees, unit

P, T = np.random.default_rng(3).normal(size=(2, 5, 4))


def test_equation_and_constant_targets():
    loss = NegativeCosine()
    assert_agrees(
        lambda p, t: loss(None, (p, t)),
        lambda p, t: -np.mean([p[i] @ t[i] / np.linalg.norm(p[i]) / np.linalg.norm(t[i]) for i in range(5)]),
        P,
        T,
        constant=(1,),
    )


def test_byol_is_the_same_up_to_a_constant_and_a_factor():
    squared_distance = ((unit(P) - unit(T)) ** 2).sum(1)
    each = to_numpy(NegativeCosine(reduction="none")(None, (P, T)))
    assert_close(2 + 2 * each, squared_distance)


def test_zero_vectors_have_loss_zero():
    assert_close(NegativeCosine(reduction="none")(None, (np.zeros((2, 3)), np.ones((2, 3)))), np.zeros(2))


def test_three_views():
    with pytest.raises(ValueError, match="predictions and targets"):
        NegativeCosine()(None, np.ones((4, 3, 2)))
