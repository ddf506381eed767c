"""The losses agree with pytorch-metric-learning where it has the same loss, values and gradients."""

import numpy as np
import pytest

from contrast.losses import InfoNCE, NTXent, SupervisedContrastive
from tests.case import assert_close, assert_value_and_gradient

torch = pytest.importorskip("torch")
oracle = pytest.importorskip("pytorch_metric_learning.losses")
rng = np.random.default_rng(3)
EMBEDDINGS = rng.normal(size=(12, 2, 6)).astype("float32")
BALANCED = np.repeat(np.arange(4), 3)
RAGGED = np.array([0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 4, 5])


def flat(embeddings, ids):
    return embeddings.reshape(-1, embeddings.shape[-1]), np.repeat(ids, embeddings.shape[1])


def value_and_gradient(loss, embeddings, ids):
    rows, labels = flat(embeddings, ids)
    rows = torch.tensor(rows, requires_grad=True)
    value = loss(rows, torch.tensor(labels))
    value.backward()
    return value.detach().numpy(), rows.grad.numpy().reshape(embeddings.shape)


@pytest.mark.parametrize("tile_size", [1024, 7])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_nt_xent_of_two_views(tile_size, temperature):
    value, gradient = value_and_gradient(oracle.NTXentLoss(temperature), EMBEDDINGS, np.arange(12))
    loss = NTXent(temperature, tile_size=tile_size)
    assert_value_and_gradient(lambda z: loss(None, z), [EMBEDDINGS], value, [gradient])


def test_nt_xent_of_equal_classes():
    value, gradient = value_and_gradient(oracle.NTXentLoss(0.2), EMBEDDINGS, BALANCED)
    loss = NTXent(0.2)
    assert_value_and_gradient(lambda z: loss(BALANCED, z), [EMBEDDINGS], value, [gradient])


def test_nt_xent_of_ragged_classes_with_anchors_weighted_by_their_positives():
    value, gradient = value_and_gradient(oracle.NTXentLoss(0.2), EMBEDDINGS, RAGGED)
    positives = 2 * np.bincount(RAGGED)[RAGGED] - 1
    loss = NTXent(0.2)
    assert_value_and_gradient(lambda z: loss(RAGGED, z, positives), [EMBEDDINGS], value, [gradient])


@pytest.mark.parametrize("ids", [BALANCED, RAGGED])
@pytest.mark.parametrize("views", [1, 2])
def test_supervised_contrastive(ids, views):
    embeddings = EMBEDDINGS[:, :views]
    theirs = oracle.SupConLoss(0.1)
    value, gradient = value_and_gradient(theirs, embeddings, ids)
    loss = SupervisedContrastive(0.1)
    assert_value_and_gradient(lambda z: loss(ids, z), [embeddings], value, [gradient])


@pytest.mark.parametrize("symmetric", [False, True])
def test_info_nce(symmetric):
    queries, keys = torch.tensor(EMBEDDINGS[:, 0]), torch.tensor(EMBEDDINGS[:, 1])
    labels, theirs = torch.arange(12), oracle.NTXentLoss(0.1)
    expected = theirs(queries, labels, ref_emb=keys, ref_labels=labels.clone())
    if symmetric:
        expected = (expected + theirs(keys, labels, ref_emb=queries, ref_labels=labels.clone())) / 2
    assert_close(InfoNCE(0.1, symmetric=symmetric)(None, EMBEDDINGS), expected.numpy())


def test_info_nce_with_separate_positives():
    queries, keys = torch.tensor(EMBEDDINGS[:, 0]), torch.tensor(EMBEDDINGS[:, 1])
    labels = torch.tensor(BALANCED)
    expected = oracle.NTXentLoss(0.1)(queries, labels, ref_emb=keys, ref_labels=labels.clone())
    assert_close(InfoNCE(0.1, same_id="positive")(BALANCED, EMBEDDINGS), expected.numpy())
