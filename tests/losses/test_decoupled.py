import numpy as np
import pytest

from contrast import backend
from contrast.layers import Temperature
from contrast.losses import DecoupledContrastive
from tests.case import assert_close, to_numpy
from tests.losses.numerics import assert_agrees, unit

rng = np.random.default_rng(0)
VIEWS = rng.normal(size=(5, 2, 4))


def decoupled(views, temperature=0.1, sigma=None, ids=None, same_id="positive", weights_of=None):
    """Equation 6 anchor by anchor; `weights_of`: the views that the constant weights are computed from."""
    count, number = views.shape[:2]
    ids = np.arange(count) if ids is None else ids
    z = unit(views).reshape(count * number, -1)
    sample = np.repeat(np.arange(count), number)
    fixed = z if weights_of is None else unit(weights_of).reshape(z.shape)
    positives, negatives, cosines = [], [], []
    for i in range(len(z)):
        same = (ids[sample] == ids[sample[i]]) if same_id == "positive" else (sample == sample[i])
        partners = same & (np.arange(len(z)) != i)
        others = ids[sample] != ids[sample[i]]
        positives.append((z[partners] @ z[i]).mean() / temperature)
        cosines.append((fixed[partners] @ fixed[i]).mean())
        negatives.append(np.log(np.exp(z[others] @ z[i] / temperature).sum()))
    w = 1
    if sigma is not None:
        w = 2 - np.exp(np.array(cosines) / sigma) / np.exp(np.array(cosines) / sigma).mean()
    return np.mean(np.array(negatives) - w * np.array(positives))


@pytest.mark.parametrize("tile_size", [None, 3])
@pytest.mark.parametrize("weighting", [None, "von_mises"])
def test_equation(weighting, tile_size):
    sigma = None if weighting is None else 0.5
    loss = DecoupledContrastive(0.2, weighting, tile_size=tile_size)
    assert_agrees(lambda z: loss(None, z), lambda z: decoupled(z, 0.2, sigma, weights_of=VIEWS), VIEWS)


@pytest.mark.parametrize("same_id", ["positive", "ignore"])
def test_ids_and_three_views(same_id):
    ids, views = np.array([0, 1, 1, 2, 3]), rng.normal(size=(5, 3, 4))
    loss = DecoupledContrastive(0.3, same_id=same_id)
    assert_agrees(lambda z: loss(ids, z), lambda z: decoupled(z, 0.3, ids=ids, same_id=same_id), views)


def test_the_weighting_follows_the_temperature_of_a_layer():
    views = VIEWS.astype("float32")
    expected = DecoupledContrastive(0.3, "von_mises")(None, views)
    assert_close(DecoupledContrastive(Temperature(0.3), "von_mises")(None, views), to_numpy(expected))


def test_further_negatives():
    negatives = rng.normal(size=(3, 4)).astype("float32")
    z, n = unit(VIEWS).reshape(10, 4), unit(negatives)
    logits = np.concatenate([z @ z.T, z @ n.T], axis=1) / 0.1
    others = np.concatenate([np.arange(10)[:, None] // 2 != np.arange(10) // 2, np.ones((10, 3), bool)], 1)
    positives = (z * z.reshape(5, 2, 4)[:, ::-1].reshape(10, 4)).sum(1) / 0.1
    expected = (np.log((np.exp(logits) * others).sum(1)) - positives).mean()
    views = VIEWS.astype("float32")
    assert_close(DecoupledContrastive()(None, views, negatives=negatives), expected)
    own = np.repeat(negatives[None], 5, axis=0)
    assert_close(DecoupledContrastive()(None, views, negatives=own), expected)


@pytest.mark.parametrize("weighting", [None, "von_mises"])
@pytest.mark.parametrize("no_positive", ["skip", "zero", "drop"])
def test_a_batch_of_one_has_no_negatives(weighting, no_positive):
    loss = DecoupledContrastive(weighting=weighting, no_positive=no_positive)
    value, (gradient,) = backend.value_and_grad(lambda z: loss(None, z), VIEWS[:1].astype("float32"))
    assert float(to_numpy(value)) == 0
    assert np.abs(to_numpy(gradient)).max() == 0


@pytest.mark.parametrize("weighting", [None, "von_mises"])
def test_equal_embeddings(weighting):
    """All cosines are 1, so that all weights are 1 and only the number of negatives is left."""
    loss = DecoupledContrastive(0.1, weighting)
    assert_close(loss(None, np.ones((4, 2, 3), "float32")), np.log(6))


def test_bad_arguments():
    with pytest.raises(ValueError, match="'von_mises'"):
        DecoupledContrastive(weighting="gauss")
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        DecoupledContrastive(sigma=0)
    with pytest.raises(ValueError, match="same_id"):
        DecoupledContrastive(same_id="shared")
    with pytest.raises(ValueError, match="at least two views"):
        DecoupledContrastive()(None, VIEWS[:, :1])
