import logging

import numpy as np
import pytest

from contrast.data import PairBatches, ViewBatches
from contrast.data.unique_rows import deal, full_batches

pytestmark = pytest.mark.once


def draws():
    generator = np.random.default_rng(0)
    for _ in range(50):
        yield generator.integers(0, generator.integers(1, 12), generator.integers(1, 40))


def pairs(ids, **options):
    return PairBatches(np.arange(len(ids)), np.arange(len(ids)), ids=ids, unique_ids=True, **options)


def test_no_batch_holds_an_id_twice_and_all_rows_come():
    for ids in draws():
        batches = pairs(ids, batch_size=4, seed=3)
        rows = [first for (first, _), _ in (batches[i] for i in range(len(batches)))]
        assert sorted(np.concatenate(rows)) == list(range(len(ids)))
        assert all(len(np.unique(ids[row])) == len(row) <= 4 for row in rows)
        assert len(batches) == max(-(-len(ids) // 4), np.bincount(ids).max())


def test_full_batches_are_as_many_as_can_be():
    for ids in draws():
        number = full_batches(ids, 3)
        counts = np.bincount(ids)
        assert np.minimum(counts, number).sum() >= 3 * number
        assert np.minimum(counts, number + 1).sum() < 3 * (number + 1) or len(ids) < 3 * (number + 1)
        if not number:
            with pytest.raises(ValueError, match="batch_size"):
                pairs(ids, batch_size=3, drop_remainder=True)
            continue
        batches = pairs(ids, batch_size=3, drop_remainder=True)
        assert len(batches) == number
        for index in range(number):
            assert len(np.unique(batches[index][1])) == 3


def test_order_is_a_function_of_seed_and_epoch():
    ids = np.arange(20) // 2
    one, same, other = (pairs(ids, batch_size=5, seed=seed) for seed in (1, 1, 2))
    first = [one[i][1].tolist() for i in range(4)]
    assert first == [same[i][1].tolist() for i in range(4)]
    assert first != [other[i][1].tolist() for i in range(4)]
    one.on_epoch_end()
    assert first != [one[i][1].tolist() for i in range(4)]
    one.epoch = 0
    assert first == [one[i][1].tolist() for i in range(4)]
    assert deal(np.zeros(2, int), 2)[0].tolist() == [0]


def test_every_row_meets_every_other_that_differs():
    batches = pairs(np.arange(12) // 2, batch_size=4)
    met = np.zeros((12, 12), int)
    for epoch in range(200):
        batches.epoch = epoch
        for index in range(len(batches)):
            rows = batches[index][0][0]
            met[np.ix_(rows, rows)] += 1
    partners = np.arange(12) ^ 1
    assert (met[np.arange(12), partners] == 0).all()
    met[np.arange(12), partners] = met[np.arange(12), (np.arange(12) + 2) % 12]
    assert met.min() > 30


def test_equal_ids_only(caplog):
    with caplog.at_level(logging.WARNING, "contrast"):
        batches = pairs(np.zeros(9, int), batch_size=3)
    assert "One id has 9 of 9 rows" in caplog.text
    assert len(batches) == 9 and len(batches[0][1]) == 1


def test_ids_are_needed():
    with pytest.raises(ValueError, match="unique_ids needs integer ids, got none"):
        ViewBatches(np.zeros((4, 2)), lambda x, _: x, unique_ids=True)
    views = ViewBatches(np.zeros((4, 2)), lambda x, _: x, ids=[0, 0, 1, 1], batch_size=2, unique_ids=True)
    assert sorted(views[0][1].tolist()) == [0, 1]
