"""Distances with safe gradients, and sums over triplets against their definition."""

import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.ops import Pairs, map_row_tiles, paired_distances, pairwise_distances, triplet_sums
from tests.case import assert_close, assert_value_and_gradient, to_numpy

rng = np.random.default_rng(3)
POINTS = rng.normal(size=(7, 4)).astype("float32")
IDS = np.array([0, 0, 0, 1, 1, 2, 3])
SAME = (IDS[:, None] == IDS) & ~np.eye(7, dtype=bool)
OTHER = IDS[:, None] != IDS


def counted(kind, difference, margin):
    """Whether a triplet with this positive minus negative distance counts."""
    violates = difference + margin > 0
    hard = difference >= 0
    return {"all": violates, "hard": violates & hard, "semi_hard": violates & ~hard}[kind]


@pytest.mark.parametrize("kind", ["all", "hard", "semi_hard"])
@pytest.mark.parametrize("ties", [False, True])
def test_sums_over_all_triplets(kind, ties):
    """With ties distances are whole numbers, so that many stand just at the margin."""
    d = pairwise_of(POINTS) if not ties else np.round(pairwise_of(POINTS))
    margin = 1.0 if ties else 0.7
    expected = np.zeros((3, 7))
    gradient = np.zeros((7, 7))
    for i in range(7):
        for p in np.flatnonzero(SAME[i]):
            for n in np.flatnonzero(OTHER[i]):
                expected[2, i] += 1
                if counted(kind, d[i, p] - d[i, n], margin):
                    expected[0, i] += d[i, p] - d[i, n] + margin
                    expected[1, i] += 1
                    gradient[i, p] += 1
                    gradient[i, n] -= 1
    sums = triplet_sums(d.astype("float32"), SAME, OTHER, margin, kind)
    for actual, one in zip(sums, expected, strict=True):
        assert_close(actual, one)

    def total(distances):
        return ops.sum(triplet_sums(distances, SAME, OTHER, margin, kind).violation)

    assert_value_and_gradient(total, [d.astype("float32")], expected[0].sum(), [gradient])


def pairwise_of(points):
    return np.linalg.norm(points[:, None].astype("float64") - points[None], axis=-1)


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
def test_distances(distance):
    power = 1 if distance == "euclidean" else 2
    expected = pairwise_of(POINTS) ** power
    assert_close(pairwise_distances(POINTS, POINTS, distance), expected)
    assert_close(paired_distances(POINTS, POINTS[::-1].copy(), distance), np.diag(expected[:, ::-1]))


@pytest.mark.parametrize("function", [pairwise_distances, paired_distances])
def test_an_unknown_distance_is_refused(function):
    with pytest.raises(ValueError, match="distance must be one of 'euclidean'.* got 'manhattan'"):
        function(POINTS, POINTS, "manhattan")


def test_an_unknown_kind_of_triplets_is_refused():
    with pytest.raises(ValueError, match="kind must be one of 'all'.* got 'easy'"):
        triplet_sums(pairwise_of(POINTS), SAME, OTHER, 0.7, "easy")


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
@pytest.mark.parametrize("function", [pairwise_distances, paired_distances])
def test_equal_points_have_distance_and_gradient_zero(function, distance):
    points = np.repeat(100 * POINTS[:1], 3, axis=0)
    value, gradients = backend.value_and_grad(lambda a, b: ops.sum(function(a, b, distance)), points, points)
    assert float(to_numpy(value)) == 0
    assert all(np.array_equal(to_numpy(gradient), np.zeros((3, 4))) for gradient in gradients)


@pytest.mark.parametrize("one_sided", [True, False])
def test_tiles_of_rows_change_nothing(one_sided):
    numbers = np.arange(7)
    pairs = Pairs(numbers, numbers, IDS, IDS, one_sided=one_sided)
    columns = None if one_sided else np.flip(POINTS, 1).copy()

    def terms_of(rows, columns, positives, negatives):
        d = pairwise_distances(rows, columns)
        return [
            ops.sum(ops.where(mask, d**power, 0.0), axis=1)
            for mask, power in ((positives, 1), (negatives, 2))
        ]

    results = []
    for tile_size in (None, 3):

        def total(*tensors, tile_size=tile_size):
            other = None if one_sided else tensors[1]
            terms = map_row_tiles(terms_of, tensors[0], other, pairs, tile_size=tile_size)
            assert tuple(terms.shape) == (7, 2)
            return ops.sum(terms * ops.convert_to_tensor([1.0, 0.3], "float32"))

        results.append(backend.value_and_grad(total, *([POINTS] if one_sided else [POINTS, columns])))
    (value, gradients), (tiled, tiled_gradients) = results
    assert_close(tiled, to_numpy(value))
    for ours, theirs in zip(tiled_gradients, gradients, strict=True):
        assert_close(ours, to_numpy(theirs), 1e-4)
