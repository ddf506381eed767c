import builtins
import logging

import keras
import numpy as np
import pytest

from contrast.retrieval import NearestNeighbors, NearestNeighborScore, nearest_neighbors
from tests.case import assert_close

RNG = np.random.default_rng(0)
BANK = RNG.normal(size=(50, 6)).astype("float32")
QUERIES = RNG.normal(size=(23, 6)).astype("float32")


def by_hand(queries, bank, k, metric="cosine"):
    if metric == "cosine":
        queries, bank = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, bank))
    similarities = queries.astype("float64") @ bank.T.astype("float64")
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, order, axis=1), order


@pytest.fixture
def tiles(monkeypatch):
    """Several tiles along both sides, the last one partial."""
    monkeypatch.setattr(nearest_neighbors, "QUERIES", 5)
    monkeypatch.setattr(nearest_neighbors, "ROWS", 7)


@pytest.fixture
def without_usearch(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("usearch"):
            raise ModuleNotFoundError("No module named 'usearch'", name="usearch")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.golden
def test_scores_match_golden_arrays(golden):
    case = golden("anomaly_detection")
    score = NearestNeighborScore(case["bank"])
    assert_close(score(case["query"][:, 0]), case["score"])
    assert_close(score(case["query"]), case["score_tta_mean_score"])
    assert_close(
        NearestNeighborScore(case["bank"], "mean_feature")(case["query"]), case["score_tta_mean_feature"]
    )


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_exact_search_equals_the_whole_matrix(metric, k):
    found = NearestNeighbors(BANK, metric=metric).search(QUERIES, k)
    similarities, ids = by_hand(QUERIES, BANK, k, metric)
    assert_close(found.similarities, similarities)
    np.testing.assert_array_equal(found.ids, ids)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("exact", [True, False])
def test_of_equal_similarities_the_lower_row_comes_first(exact):
    if not exact:
        pytest.importorskip("usearch")
    bank = np.eye(2, dtype="float32")[RNG.integers(0, 2, 20)]
    found = NearestNeighbors(bank, exact=exact).search(np.eye(2), 20)
    for query, ids in enumerate(found.ids):
        assert ids.tolist() == np.argsort(-bank[:, query], kind="stable").tolist()
    for k in (1, 4):
        np.testing.assert_array_equal(NearestNeighbors(bank).search(np.eye(2), k).ids, found.ids[:, :k])


def test_the_whole_matrix_never_exists(monkeypatch):
    """With 4,000 rows and 4,000 queries the whole matrix would be 64 MB."""
    import tracemalloc

    monkeypatch.setattr(nearest_neighbors, "ROWS", 512)
    neighbors = NearestNeighbors(RNG.normal(size=(4000, 4)))
    queries = RNG.normal(size=(4000, 4)).astype("float32")
    tracemalloc.start()
    neighbors.search(queries, 2)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_zero_tiny_and_huge_vectors():
    bank = np.array([[0, 0], [1e-40, 0], [0, 1e38]], "float32")
    found = NearestNeighbors(bank).search([[3e38, 0], [0, 0], [1e-42, 1e-42]], 3)
    assert_close(found.similarities, [[1, 0, 0], [0, 0, 0], [0.5**0.5, 0.5**0.5, 0]], 1e-3)
    assert found.ids.tolist() == [[1, 0, 2], [0, 1, 2], [1, 2, 0]]


def test_the_index_finds_the_neighbours_and_their_exact_similarities():
    pytest.importorskip("usearch")
    exact, index = (NearestNeighbors(BANK, exact=exact) for exact in (True, False))
    for queries in (QUERIES, QUERIES[:1]):
        expected, found = exact.search(queries, 5), index.search(queries, 5)
        np.testing.assert_array_equal(found.ids, expected.ids)
        assert_close(found.similarities, expected.similarities, 1e-6)
    np.testing.assert_array_equal(index.search(QUERIES, 50).ids, exact.search(QUERIES, 50).ids)
    dot = NearestNeighbors(5 * BANK, metric="dot", exact=False).search(QUERIES, 1)
    assert_close(dot.similarities, by_hand(QUERIES, 5 * BANK, 1, "dot")[0])


def test_size_decides_and_can_be_overruled(monkeypatch):
    pytest.importorskip("usearch")
    monkeypatch.setattr(nearest_neighbors, "EXACT_UP_TO", 49)
    for exact, indexed in ((None, True), (True, False)):
        neighbors = NearestNeighbors(BANK, exact=exact)
        neighbors.search(QUERIES)
        assert (neighbors._index is not None) == indexed
    small = NearestNeighbors(BANK[:49])
    small.search(QUERIES)
    assert small._index is None


@pytest.mark.usefixtures("without_usearch")
def test_without_usearch(monkeypatch, caplog):
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keras-contrast\[retrieval\]'"):
        NearestNeighbors(BANK, exact=False)
    monkeypatch.setattr(nearest_neighbors, "EXACT_UP_TO", 49)
    neighbors = NearestNeighbors(BANK)
    with caplog.at_level(logging.WARNING, logger="contrast"):
        for _ in range(2):
            assert neighbors.search(QUERIES).ids.tolist() == by_hand(QUERIES, BANK, 1)[1].tolist()
    assert caplog.text.count("Searching 50 rows one by one") == 1


@pytest.mark.parametrize("exact", [None, False])
def test_save_and_load(exact, tmp_path):
    if exact is False:
        pytest.importorskip("usearch")
    path = tmp_path / "normal.bank"
    neighbors = NearestNeighbors(BANK, ids=np.arange(50) + 7, exact=exact)
    expected = neighbors.search(QUERIES, 3)
    neighbors.save(path)
    loaded = NearestNeighbors.load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["normal.bank"]
    assert (loaded.metric, loaded.exact, len(loaded), loaded.dim) == ("cosine", exact, 50, 6)
    assert (loaded._index is None) == (exact is None)
    for ours, theirs in zip(loaded.search(QUERIES, 3), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    NearestNeighbors(BANK, metric="dot").save(path)
    assert (
        NearestNeighbors.load(path).search(QUERIES).ids.tolist()
        == by_hand(QUERIES, BANK, 1, "dot")[1].tolist()
    )


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "bank.npz"
    NearestNeighbors(BANK).save(path)

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        NearestNeighbors(BANK[:3]).save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert len(NearestNeighbors.load(path)) == 50


def test_load_refuses_other_files(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    NearestNeighbors(BANK).save(tmp_path / "half.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "half.npz").read_bytes()[:500])
    with np.load(tmp_path / "other.npz") as arrays:
        np.savez(tmp_path / "metric.npz", bank=BANK, ids=np.arange(50), metric="angle", **arrays)
    for name in ("other", "half", "metric"):
        with pytest.raises(ValueError, match=f"{name}.npz is not a bank of NearestNeighbors"):
            NearestNeighbors.load(tmp_path / f"{name}.npz")
    with pytest.raises(FileNotFoundError):
        NearestNeighbors.load(tmp_path / "missing.npz")


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_deleted_is_not_found(exact, tmp_path):
    if not exact:
        pytest.importorskip("usearch")
    neighbors = NearestNeighbors(BANK, ids=np.arange(50) + 100, exact=exact)
    nearest = neighbors.search(QUERIES[:1], 3).ids[0]
    neighbors.delete(nearest[:2])
    assert neighbors.search(QUERIES[:1]).ids.tolist() == [[nearest[2]]]
    assert len(neighbors) == 48 and nearest[0] not in neighbors.ids
    neighbors.save(tmp_path / "bank.npz")
    assert len(NearestNeighbors.load(tmp_path / "bank.npz")) == 48
    with pytest.raises(KeyError, match=f"no row with id {nearest[0]}"):
        neighbors.delete(int(nearest[0]))
    with pytest.raises(ValueError, match="at least one row"):
        neighbors.delete(neighbors.ids)
    assert len(neighbors) == 48


def test_tensors_and_no_queries():
    score = NearestNeighborScore(keras.ops.convert_to_tensor(BANK))
    expected = by_hand(QUERIES, BANK, 1)[0][:, 0]
    assert_close(score(keras.ops.convert_to_tensor(QUERIES)), expected)
    assert score(QUERIES[:0]).shape == (0,)
    assert score.neighbors.search(QUERIES[:0], 3).ids.shape == (0, 3)
    assert_close(NearestNeighborScore(score.neighbors)(QUERIES), expected)


def test_the_bank_is_a_copy():
    bank = BANK.copy()
    neighbors = NearestNeighbors(bank, metric="dot")
    bank[:] = 0
    assert neighbors.search(QUERIES).ids.tolist() == by_hand(QUERIES, BANK, 1, "dot")[1].tolist()


NAN = np.where(np.arange(50)[:, None] == 3, np.nan, BANK)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NearestNeighbors(BANK[:0]), "bank must hold at least one row"),
        (lambda: NearestNeighbors(BANK[0]), r"bank must be \(rows, dim\), got shape \(6,\)"),
        (lambda: NearestNeighbors(NAN), "bank must be finite, got NaN or infinity in row 3"),
        (lambda: NearestNeighbors(BANK, metric="l2"), "metric must be"),
        (lambda: NearestNeighbors(BANK, ids=[1, 2]), "ids must be 50 different ints"),
        (lambda: NearestNeighbors(BANK, ids=np.zeros(50, int)), "ids must be 50 different ints"),
        (lambda: NearestNeighbors(BANK, ids=np.arange(50.0)), "ids must be 50 different ints"),
        (lambda: NearestNeighbors(BANK).search(QUERIES[:, :5]), r"queries must be \(queries, 6\)"),
        (lambda: NearestNeighbors(BANK).search(QUERIES[0]), r"queries must be \(queries, 6\)"),
        (lambda: NearestNeighbors(BANK).search(QUERIES, 51), "k must be from 1 to the 50 rows"),
        (lambda: NearestNeighbors(BANK).search(QUERIES, 0), "k must be from 1"),
        (lambda: NearestNeighborScore(BANK, "max"), "copies must be"),
        (lambda: NearestNeighborScore(NearestNeighbors(BANK, metric="dot")), "metric='cosine'"),
        (lambda: NearestNeighborScore(BANK)(QUERIES[0]), "features must be"),
        (lambda: NearestNeighborScore(BANK)(QUERIES[:, None][:, :0]), "features must be"),
        (lambda: NearestNeighborScore(BANK, "mean_feature")(NAN[:, None]), "features must be finite"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_the_row_that_is_not_finite_is_named_in_a_later_tile(tiles):
    with pytest.raises(ValueError, match="queries must be finite, got NaN or infinity in row 13"):
        NearestNeighbors(BANK).search(np.concatenate([BANK[:10], NAN[:10]]))
