"""The tiled engine against float64 formulas, where its short cuts hold and where they do not."""

import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.ops import Pairs, row_statistics, tiled
from contrast.ops.tiles import Tiles
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(11)
UPSTREAM = rng.normal(size=12).astype("float32")
DIRECTIONS = rng.normal(size=(12, 4))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def far_apart():
    """At temperature 0.01: half of the rows are equal, one is opposite to them, the others are orthogonal.

    The best logits are 100, -100 and 0, farther apart than float32's exponents reach.
    """
    rows = np.eye(4)[[0] * 6 + [1, 2, 3, 1, 2, 0]]
    rows[-1] *= -1
    return 10.0 * rows


CASES = {
    "bounded": DIRECTIONS * 3.0,
    "unbounded": DIRECTIONS * 12.0,
    "far apart": far_apart(),
    "zero": np.zeros((12, 4)),
    "equal": np.full((12, 4), 2.0),
    "lengths": DIRECTIONS * np.geomspace(1e-6, 1e3, 12)[:, None],
}


def pairs_of_two(one_sided=True):
    instances = ops.arange(12, dtype="int32") // 2
    return Pairs(instances, instances, one_sided=one_sided)


def oracle(rows, columns, candidates):
    """Log-sum-exp of each row in float64, and the gradient of its UPSTREAM-weighted sum for both sides."""
    logits = np.where(candidates, rows @ columns.T, -np.inf)
    largest = logits.max(1, keepdims=True)
    exponentials = np.exp(logits - largest)
    totals = exponentials.sum(1, keepdims=True)
    shares = UPSTREAM[:, None] * exponentials / totals
    return (largest + np.log(totals))[:, 0], shares @ columns, shares.T @ rows


def weighted(rows, columns, pairs, tile_size):
    log_candidates = row_statistics(rows, columns, pairs, tile_size=tile_size).log_candidates
    return ops.sum(log_candidates * ops.convert_to_tensor(UPSTREAM))


@pytest.mark.parametrize("case", CASES)
def test_one_sided_log_sum_exp_and_gradient(case):
    rows = CASES[case].astype("float32")
    values, left, right = oracle(*[rows.astype("float64")] * 2, ~np.eye(12, dtype=bool))
    statistics = row_statistics(rows, None, pairs_of_two(), tile_size=4)
    np.testing.assert_allclose(to_numpy(statistics.log_candidates), values, rtol=1e-5, atol=1e-5)
    _, (gradient,) = backend.value_and_grad(lambda x: weighted(x, None, pairs_of_two(), 4), rows)
    # Where lengths differ so much, logits reach a million, and float32 rounds them to 0.06.
    assert_close(gradient, left + right, 1e-3 if case == "lengths" else 1e-4)


@pytest.mark.parametrize("case", ["bounded", "far apart"])
def test_two_sided_log_sum_exp_and_gradient(case, monkeypatch):
    monkeypatch.setattr(tiled, "_TILE_ENTRIES", 0)
    rows, columns = CASES[case].astype("float32"), CASES[case][::-1].astype("float32")
    values, left, right = oracle(rows.astype("float64"), columns.astype("float64"), True)
    pairs = pairs_of_two(one_sided=False)
    statistics = row_statistics(rows, columns, pairs, tile_size=5)
    np.testing.assert_allclose(to_numpy(statistics.log_candidates), values, rtol=1e-5, atol=1e-5)
    _, gradients = backend.value_and_grad(lambda x, y: weighted(x, y, pairs, 5), rows, columns)
    for ours, theirs in zip(gradients, (left, right), strict=True):
        assert_close(ours, theirs, 1e-4)


@pytest.mark.parametrize("tile_size", [3, 4, 5])
def test_bounded_logits_need_no_maximum(tile_size, monkeypatch):
    """The same with and without the running maximum; tiles that fill the rows, and tiles that do not."""
    rows = CASES["bounded"].astype("float32")
    results = []
    for bound in (tiled._BOUND, -1.0):
        monkeypatch.setattr(tiled, "_BOUND", bound)
        results.append(backend.value_and_grad(lambda x: weighted(x, None, pairs_of_two(), tile_size), rows))
    (value, (gradient,)), (expected, (expected_gradient,)) = results
    assert_close(value, to_numpy(expected), 1e-6)
    assert_close(gradient, to_numpy(expected_gradient), 1e-5)


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("tile_size", [3, 4, 5])
def test_plain_tiles_hold_negatives_only(with_ids, tile_size):
    ids = np.sort(rng.integers(0, 5, 12)).astype("int32") if with_ids else None
    numbers = np.arange(12, dtype="int32") // 2
    pairs = Pairs(numbers, numbers, ids, ids, one_sided=True)
    tiles = Tiles(12, tile_size)
    plain = to_numpy(pairs.plain_tiles(tiles, tiles))
    candidates, weights = map(to_numpy, pairs.tile(None, None))
    negatives = candidates & (weights == 0)
    for i, j in np.ndindex(plain.shape):
        rows, columns = (slice(k * tiles.size, (k + 1) * tiles.size) for k in (i, j))
        is_whole = (max(i, j) + 1) * tiles.size <= 12
        if plain[i, j]:
            assert is_whole
            assert negatives[rows, columns].all()
        elif not with_ids and tile_size == 4:
            assert i == j, "views of a sample stand side by side: all tiles but its own are plain"
    assert plain.any()


@pytest.mark.parametrize("field", ["positive_mask", "positive_weights", "candidate_mask"])
def test_masks_make_no_tile_plain(field):
    tiles = Tiles(4, 2)
    pairs = Pairs(np.arange(4), np.arange(4), **{field: np.ones((4, 4))})
    assert pairs.plain_tiles(tiles, tiles) is None


@pytest.mark.once
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_pair_of_tiles_is_visited_once_per_pass(number, monkeypatch):
    """Two products of all rows with all columns: a half forward, a half and two halves backward."""
    visited = []
    logits = tiled._Visit.logits

    def counted(self, i, j):
        visited.append(frozenset((i, j)))
        return logits(self, i, j)

    monkeypatch.setattr(tiled._Visit, "logits", counted)
    backend.value_and_grad(
        lambda x: weighted(x, None, pairs_of_two(), 12 // number), CASES["bounded"].astype("float32")
    )
    every = [frozenset((i, j)) for i in range(number) for j in range(i + 1)]
    assert sorted(map(sorted, visited)) == sorted(map(sorted, 2 * every))


@pytest.mark.parametrize("count", [1, 5, 8, 9])
@pytest.mark.parametrize("size", [None, 1, 4, 20])
def test_tiles_hold_every_row_once(count, size):
    tiles = Tiles(count, size)
    x = np.arange(3 * count, dtype="float32").reshape(count, 3)
    assert tiles.size <= (size or count)
    assert_close(tiles.join(tiles.split(x)), x)
    held = [
        np.arange(count)
        if tiles.numbers(i) is None
        else to_numpy(tiles.numbers(i))[slice(None) if tiles.valid(i) is None else to_numpy(tiles.valid(i))]
        for i in range(tiles.number)
    ]
    np.testing.assert_array_equal(np.concatenate(held), np.arange(count))
