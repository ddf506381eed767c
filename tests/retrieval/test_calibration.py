import numpy as np
import pytest

from contrast.retrieval import (
    EmbeddingIndex,
    calibrate,
    labelled_distances,
    nearest_distances,
    pair_distances,
)
from tests.case import assert_close

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
DISTANCES = np.round(RNG.normal(size=400), 1).astype("float32")  # with many ties
SAME = RNG.random(400) < 1 / (1 + np.exp(3 * DISTANCES))
EMBEDDINGS = RNG.normal(size=(30, 4)).astype("float32")
LABELS = RNG.integers(0, 4, 30)


def by_hand(threshold):
    """Precision, recall and false-match rate by counting."""
    matched = threshold >= DISTANCES
    return (matched & SAME).sum() / matched.sum(), matched[SAME].mean(), matched[~SAME].mean()


@pytest.mark.parametrize("wanted", [{"precision": 0.9}, {"precision": 0.7}, {"false_match_rate": 0.05}])
def test_the_largest_threshold_that_keeps_what_is_wanted(wanted):
    measured = [(threshold, *by_hand(threshold)) for threshold in np.unique(DISTANCES)]
    if "precision" in wanted:
        best = max(row for row in measured if row[1] >= wanted["precision"])
    else:
        best = max(row for row in measured if row[3] <= wanted["false_match_rate"])
    found = calibrate(DISTANCES, SAME, **wanted)
    assert_close([found.threshold, found.precision, found.recall, found.false_match_rate], best, 1e-6)
    assert found.threshold < DISTANCES.max()
    assert_close(np.stack([found.thresholds, found.precisions, found.recalls], 1), np.array(measured)[:, :3])


def test_what_cannot_be_reached_is_told_with_the_best():
    distances, same = [0.1, 0.2, 0.2, 0.3], [False, True, True, False]
    with pytest.raises(
        ValueError, match="No threshold keeps precision 0.9; the highest is 0.6667, at thresh.* 0.2 "
    ):
        calibrate(distances, same, precision=0.9)
    with pytest.raises(
        ValueError, match="No threshold keeps false_match_rate 0.4; the lowest is 0.5, at threshold 0"
    ):
        calibrate(distances, same, false_match_rate=0.4)


@pytest.mark.parametrize(
    ("arguments", "wanted", "says"),
    [
        ((DISTANCES, SAME), {}, "either precision or false_match_rate"),
        ((DISTANCES, SAME), {"precision": 0.5, "false_match_rate": 0.1}, "either precision or"),
        ((DISTANCES, SAME), {"precision": 1.1}, "precision must be above 0 and at most 1, got 1.1"),
        ((DISTANCES, SAME), {"false_match_rate": 1.0}, "false_match_rate must be from 0 to below 1"),
        ((DISTANCES[:3], SAME), {"precision": 1}, r"must be \(pairs,\), got shapes \(3,\) and \(400,\)"),
        ((np.where(SAME, np.inf, DISTANCES), SAME), {"precision": 1}, "distances must be finite"),
        ((DISTANCES, SAME * 2), {"precision": 1}, "same must be True or False"),
        ((DISTANCES, SAME | True), {"precision": 1}, "are the same and pairs that are not, got 400 and 0"),
        ((DISTANCES, SAME & False), {"precision": 1}, "got 0 and 400"),
    ],
)
def test_bad_input(arguments, wanted, says):
    with pytest.raises(ValueError, match=says):
        calibrate(*arguments, **wanted)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "inner_product"])
def test_all_pairs_have_the_distances_of_the_index(distance, monkeypatch):
    monkeypatch.setattr(labelled_distances, "CHUNK", 40)
    distances, same = pair_distances(EMBEDDINGS, LABELS, distance=distance)
    index = EmbeddingIndex(distance)
    index.add(EMBEDDINGS)
    found = index.search(EMBEDDINGS, 30)
    matrix = np.take_along_axis(found.distances, np.argsort(found.keys, axis=1), axis=1)
    first, second = np.triu_indices(30, 1)
    assert_close(distances, matrix[first, second], 1e-6)
    np.testing.assert_array_equal(same, LABELS[first] == LABELS[second])


def test_drawn_pairs_are_different_ones_and_fair():
    numbers = np.arange(30.0)[:, None]
    first, second = labelled_distances._pairs(30, 400, seed=1)
    assert len({*zip(first, second, strict=True)}) == 400 and (first < second).all() and first.min() == 0
    assert second.max() == 29
    counts = np.zeros((30, 30))
    for seed in range(200):
        np.add.at(counts, labelled_distances._pairs(30, 100, seed), 1)
    expected = 200 * 100 / 435
    drawn = counts[np.triu_indices(30, 1)]
    assert drawn.sum() == 20_000 and abs(drawn - expected).max() < 6 * np.sqrt(expected)
    distances, same = pair_distances(numbers, LABELS, distance="euclidean", max_pairs=50)
    assert distances.shape == same.shape == (50,)
    again = pair_distances(numbers, LABELS, distance="euclidean", max_pairs=50)
    np.testing.assert_array_equal(distances, again[0])
    huge = labelled_distances._pairs(3_000_000_000 // 1000, 1000, 0)
    assert (huge[0] < huge[1]).all() and huge[1].max() < 3_000_000


@pytest.mark.parametrize("keys", [None, [f"k{number}" for number in range(20)]])
def test_nearest_distances_are_those_that_match_decides_on(keys):
    index = EmbeddingIndex()
    index.add(EMBEDDINGS[:20], keys)
    distances, same = nearest_distances(index, EMBEDDINGS[20:], LABELS[20:], LABELS[:20])
    nearest = [index.keys.tolist().index(key) for key in index.search(EMBEDDINGS[20:]).keys[:, 0]]
    np.testing.assert_array_equal(same, LABELS[nearest] == LABELS[20:])
    found = calibrate(distances, same, false_match_rate=0.5)
    matched = index.match(EMBEDDINGS[20:], found)
    kept = np.array([key not in (None, -1) for key in matched.keys])
    np.testing.assert_array_equal(kept, distances <= np.float32(found.threshold))
    assert kept.any() and not kept.all()
    assert found.precision == same[kept].mean()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pair_distances(EMBEDDINGS, LABELS[:3]), r"labels must be \(30,\), got shape \(3,\)"),
        (lambda: pair_distances(EMBEDDINGS[:1], LABELS[:1]), "embeddings must be at least 2, got 1"),
        (lambda: pair_distances(EMBEDDINGS, LABELS, distance="l1"), "distance must be one of"),
        (lambda: pair_distances(EMBEDDINGS * np.nan, LABELS), "embeddings must be finite"),
        (lambda: nearest_distances(EmbeddingIndex(), EMBEDDINGS, LABELS, []), "The index is empty"),
        (lambda: nearest_distances(EmbeddingIndex(), EMBEDDINGS, LABELS, [1]), r"item_labels must be \(0,\)"),
    ],
)
def test_bad_embeddings(call, says):
    with pytest.raises(ValueError, match=says):
        call()
