"""Shares of batches, refusals, and what replicas are told."""

import keras
import numpy as np
import pytest

import contrast
from contrast import backend, losses
from contrast.data.batches import ArrayBatches
from contrast.distribution import ReplicaBatches, start
from contrast.distribution.batch_norm import synchronize
from tests.case import assert_close, to_numpy

pytestmark = pytest.mark.once


class Numbers(ArrayBatches):
    def __init__(self, rows=13, batch_size=5):
        super().__init__({"x": np.arange(rows), "y": -np.arange(rows)}, batch_size, shuffle=False)

    def __getitem__(self, index):
        rows = self.rows(index)
        return {"x": self.arrays["x"][rows]}, self.arrays["y"][rows]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_shares_are_the_whole(processes):
    shares = [ReplicaBatches(Numbers(), index, processes) for index in range(processes)]
    for index in range(3):
        x, y = Numbers()[index]
        assert np.concatenate([share[index][0]["x"] for share in shares]).tolist() == x["x"].tolist()
        assert np.concatenate([share[index][1] for share in shares]).tolist() == y.tolist()
    sizes = [len(share[0][1]) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_epochs_of_the_batches_pass_on():
    batches = Numbers()
    shares = ReplicaBatches(batches, 0, 2)
    shares.on_epoch_end()
    assert batches.epoch == 1 and len(shares) == shares.num_batches == 3


def test_batches_that_cannot_be_shared_out():
    with pytest.raises(ValueError, match="batch 2 has 3 rows, which cannot be divided over 4 devices"):
        ReplicaBatches(Numbers(), 0, 2, 2)[2]
    with pytest.raises(ValueError, match="batch 0 has 5 rows, which cannot be divided evenly over 2"):
        ReplicaBatches(Numbers(), 0, 1, 2, even=True)[0]
    assert len(ReplicaBatches(Numbers(batch_size=4), 0, 1, 2, even=True)[0][1]) == 4
    shares = [ReplicaBatches(Numbers(), index, 2, even=True, drop_rows=True) for index in range(2)]
    assert [share[0][1].tolist() for share in shares] == [[0, -1], [-2, -3]]
    assert [share[2][1].tolist() for share in shares] == [[-10], [-11]]


@pytest.mark.parametrize("even", [False, True])
def test_a_last_batch_smaller_than_the_devices_is_left_out(even):
    assert len(ReplicaBatches(Numbers(), 0, 1, 3, even, drop_rows=True)) == 3
    shares = ReplicaBatches(Numbers(), 0, 1, 4, even, drop_rows=True)
    assert len(shares) == shares.num_batches == 2
    assert len(shares[1][1]) == (4 if even else 5)
    alone = ReplicaBatches(Numbers(rows=3), 0, 1, 4, even, drop_rows=True)
    with pytest.raises(ValueError, match="batch 0 has 3 rows, which cannot be divided"):
        alone[0]


def test_what_is_no_data_set_cannot_be_shared_out():
    with pytest.raises(TypeError, match="PyDataset, got ndarray"):
        ReplicaBatches(np.ones(3))


def test_pairs_of_one_replica_are_refused(monkeypatch):
    views = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    ids, mask = np.arange(4), np.ones((4, 4), bool)
    cases = [
        (losses.InfoNCE(), None, {"candidate_mask": mask}),
        (losses.SupervisedContrastive(), ids, {"positive_mask": mask}),
        (losses.SoftTargetContrastive(), np.eye(4), {}),
    ]
    alone = [to_numpy(loss(y, views, **given)) for loss, y, given in cases]
    monkeypatch.setattr(backend, "replica_count", lambda: 2)
    monkeypatch.setattr(backend, "gather_rows", lambda rows: rows)
    for (loss, y, given), expected in zip(cases, alone, strict=True):
        with pytest.raises(ValueError, match="on several replicas.*gathered=True"):
            loss(y, views, **given)
        assert_close(loss(y, views, gathered=True, **given), expected / 2)


def test_a_column_of_ids_is_no_matrix_of_pairs(monkeypatch):
    views, ids = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32"), np.array([0, 0, 1, 2])
    loss = losses.SupervisedContrastive()
    alone = to_numpy(loss(ids[:, None], views))
    monkeypatch.setattr(backend, "replica_count", lambda: 2)
    monkeypatch.setattr(backend, "gather_rows", lambda rows: rows)
    assert_close(loss(ids[:, None], views), alone / 2)


def test_models_that_cannot_be_prepared():
    replicas = start()
    assert (replicas.count, replicas.index, replicas.processes) == (1, 0, 1)
    model = keras.Sequential([keras.layers.Dense(1)])
    assert replicas.prepare(model) is model
    with pytest.raises(ValueError, match="batch_norm must be one of 'synchronized', 'per_replica', got 'no'"):
        replicas.prepare(model, "no")
    with pytest.raises(TypeError, match="model must be a keras.Model, got Dense"):
        replicas.prepare(keras.layers.Dense(1))

    class Own(keras.Model):
        def train_step(self, data):
            return {}

    two = contrast.distribution.Replicas(2, 0, 2, None, None)
    with pytest.raises(TypeError, match="Own has a train_step of its own"):
        two.prepare(Own())
    with pytest.raises(TypeError, match="Sequential has a train_step of its own"):
        two.prepare(contrast.optimizers.sharpness_aware(model))


@pytest.mark.parametrize("masked", [False, True])
def test_moments_of_parts_are_those_of_the_whole(masked, monkeypatch):
    """Three replicas, one without rows, in place of which their rows are listed one after the other."""
    x = np.random.default_rng(1).normal(3, 2, size=(7, 4, 5)).astype("float32")
    mask = np.random.default_rng(2).random((7, 4)) > 0.3 if masked else None
    layer = keras.layers.BatchNormalization()
    layer.build(x.shape)
    expected = [to_numpy(part) for part in layer._moments(keras.ops.convert_to_tensor(x), mask)]
    model = keras.Sequential([layer])
    synchronize(model)
    parts = [(x[a:b], None if mask is None else mask[a:b]) for a, b in ((0, 2), (2, 2), (2, 7))]
    sent = []
    monkeypatch.setattr("contrast.distribution.batch_norm.replica_count", lambda: 3)
    monkeypatch.setattr("contrast.distribution.batch_norm.gather", lambda row: sent.append(row) or row)
    for part, part_mask in parts:
        layer._moments(keras.ops.convert_to_tensor(part), part_mask)
    assert len(sent) == len(parts)
    rows = keras.ops.concatenate(sent)
    monkeypatch.setattr("contrast.distribution.batch_norm.gather", lambda row: rows)
    for part, part_mask in parts:
        moments = layer._moments(keras.ops.convert_to_tensor(part), part_mask)
        for actual, wanted in zip(moments, expected, strict=True):
            assert_close(actual, wanted, 1e-4 if masked else 1e-5)
