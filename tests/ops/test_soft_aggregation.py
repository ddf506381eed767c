import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.ops.soft_aggregation import soft_aggregation_weights
from tests.case import assert_close, to_numpy

Z = np.random.default_rng(0).normal(size=(11, 5)).astype("float32")
MASK = np.array([1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1], bool)
IDS = np.array([0, 0, 1, 1, 1, 2, 0, 0, 1, 0, 1])


def by_hand(z, mask, temperature, ids):
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    together = (ids[:, None] == ids) & mask[:, None] & mask & ~np.eye(len(z), dtype=bool)
    a = np.where(together, np.exp(z.astype("float64") @ z.T / temperature), 0).sum(1)
    total = np.array([a[(ids == i) & mask].sum() for i in ids])
    return np.where(mask & (a > 0), a / np.where(total > 0, total, 1), 0)


@pytest.mark.parametrize("tile_size", [1024, 3, None])
@pytest.mark.parametrize("temperature", [0.02, 0.5])
@pytest.mark.parametrize("ids", [None, IDS])
def test_weights(tile_size, temperature, ids):
    weights = soft_aggregation_weights(Z, MASK, temperature, ids, tile_size)
    assert_close(weights, by_hand(Z, MASK, temperature, np.zeros_like(IDS) if ids is None else ids))


@pytest.mark.golden
@pytest.mark.parametrize("tile_size", [1024, 5, None])
def test_golden(golden, tile_size):
    case = golden("anomaly_detection")
    temperature = float(case["tau_w"])
    weights = soft_aggregation_weights(case["z"], case["is_inlier"], temperature, tile_size=tile_size)
    assert_close(weights, case["weight"])
    weights = soft_aggregation_weights(
        case["z"], case["is_inlier"], temperature, case["label"], tile_size=tile_size
    )
    assert_close(weights, case["lab_weight"])


def test_no_gradient_and_alone_without_weight():
    def total(z):
        return ops.sum(soft_aggregation_weights(z, MASK) * ops.arange(11, dtype="float32")) + ops.sum(z)

    _, (gradient,) = backend.value_and_grad(total, Z)
    assert (to_numpy(gradient) == 1).all()
    alone = to_numpy(soft_aggregation_weights(Z, MASK, ids=IDS))[5]  # the only one of group 2
    assert alone == 0
    assert not to_numpy(soft_aggregation_weights(Z, np.zeros(11, bool))).any()


def test_bad_input():
    with pytest.raises(ValueError, match=r"temperature must be positive, got 0"):
        soft_aggregation_weights(Z, MASK, 0)
    with pytest.raises(ValueError, match=r"mask \(views,\), got shapes \(11, 5\) and \(3,\)"):
        soft_aggregation_weights(Z, MASK[:3])
