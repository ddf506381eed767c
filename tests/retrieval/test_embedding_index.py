import json
import logging
import os
import sys
import tracemalloc

import keras
import numpy as np
import pytest

from contrast.retrieval import EmbeddingIndex, array_file, nearest_neighbors
from tests.case import assert_close

RNG = np.random.default_rng(0)
BANK = RNG.normal(size=(60, 5)).astype("float32")
QUERIES = RNG.normal(size=(13, 5)).astype("float32")
DISTANCES = ("cosine", "euclidean", "inner_product")
NAMES = [f"item {number}, é" for number in range(60)]
pytestmark = pytest.mark.once


def by_hand(queries, bank, distance):
    queries, bank = np.float64(queries)[:, None], np.float64(bank)[None]
    product = (queries * bank).sum(-1)
    if distance == "inner_product":
        return -product
    if distance == "euclidean":
        return np.sqrt(((queries - bank) ** 2).sum(-1))
    return 1 - product / np.linalg.norm(queries, axis=-1) / np.linalg.norm(bank, axis=-1)


def filled(distance="cosine", exact=None, keys=NAMES, metadata=None):
    index = EmbeddingIndex(distance, exact=exact)
    index.add(BANK, keys, metadata)
    return index


@pytest.fixture
def tiles(monkeypatch):
    monkeypatch.setattr(nearest_neighbors, "QUERIES", 4)
    monkeypatch.setattr(nearest_neighbors, "ROWS", 7)
    monkeypatch.setattr(nearest_neighbors, "TILE", 28)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("distance", DISTANCES)
def test_search_finds_what_the_whole_matrix_says(distance, exact):
    if not exact:
        pytest.importorskip("usearch")
    distances = by_hand(QUERIES, BANK, distance)
    order = np.argsort(distances, axis=1, kind="stable")
    for k in (1, 4, 60):
        found = filled(distance, exact).search(QUERIES, k)
        assert found.keys.tolist() == [[NAMES[row] for row in rows[:k]] for rows in order]
        assert_close(found.distances, np.take_along_axis(distances, order[:, :k], axis=1))


def test_euclidean_distances_far_from_zero():
    """Coordinates of 10,000 whose differences are around 1: a product of such rows has no digits left."""
    index = EmbeddingIndex("euclidean")
    index.add(BANK + 10_000)
    found = index.search(QUERIES + 10_000, 3)
    expected = by_hand(QUERIES + np.float32(10_000), BANK + np.float32(10_000), "euclidean")
    np.testing.assert_array_equal(found.keys, np.argsort(expected, axis=1)[:, :3])
    assert_close(found.distances, np.sort(expected, axis=1)[:, :3])


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("distance", DISTANCES)
def test_any_order_of_adding_and_removing_is_as_good_as_a_new_index(distance, exact):
    if not exact:
        pytest.importorskip("usearch")
    index = EmbeddingIndex(distance, exact=exact)
    for start in (0, 20, 40):
        assert index.add(BANK[start : start + 20]).tolist() == list(range(start, start + 20))
        index.search(QUERIES)
    index.remove([3, 59, 17])
    assert index.add(BANK[3:4]).tolist() == [59]
    index.remove(59)
    index.add(BANK[3:4], keys=[1000])
    assert len(index) == 58 and 1000 in index and 3 not in index and "3" not in index and 17.0 not in index
    left = np.delete(np.arange(60), [3, 17, 59])
    again = EmbeddingIndex(distance)
    again.add(np.concatenate([BANK[left], BANK[3:4]]), [*left, 1000])
    for ours, theirs in zip(index.search(QUERIES, 6), again.search(QUERIES, 6), strict=True):
        assert_close(ours, theirs)
    assert index.keys.tolist() == again.keys.tolist()


def test_a_graph_takes_up_what_is_added(monkeypatch):
    usearch = pytest.importorskip("usearch.index")
    added = []
    add = usearch.Index.add
    monkeypatch.setattr(
        usearch.Index,
        "add",
        lambda self, keys, *rest, **kw: added.append(len(keys)) or add(self, keys, *rest, **kw),
    )
    index = EmbeddingIndex(exact=False)
    index.add(BANK[:50])
    index.search(QUERIES)
    index.add(BANK[50:55])
    index.add(BANK[55:])
    assert index.search(BANK[50:]).keys[:, 0].tolist() == list(range(50, 60))
    assert added == [50, 10]


def test_size_decides(monkeypatch):
    pytest.importorskip("usearch")
    monkeypatch.setattr(nearest_neighbors, "EXACT_UP_TO", 59)
    index = filled()
    index.search(QUERIES)
    assert index._neighbors.graph is not None
    index.remove(NAMES[0])
    index.search(QUERIES)
    assert index._neighbors.graph is None


@pytest.mark.parametrize(("keys", "none"), [(NAMES[:2], None), ([7, 5], -1)])
def test_fewer_items_than_k(keys, none):
    index = EmbeddingIndex()
    index.add(BANK[:2], keys)
    found = index.search(BANK[1:2], 4)
    assert found.keys.tolist() == [[keys[1], keys[0], none, none]]
    assert found.distances.shape == (1, 4) and np.isinf(found.distances[0, 2:]).all()
    assert np.isfinite(found.distances[0, :2]).all()
    assert index.search(QUERIES[:0], 4).keys.shape == (0, 4)


@pytest.mark.parametrize(("keys", "none"), [(NAMES, None), (None, -1)])
def test_match(keys, none):
    index = filled(keys=keys)
    nearest = index.search(QUERIES)
    threshold = np.median(nearest.distances)
    found = index.match(QUERIES, threshold)
    for key, distance, best in zip(found.keys, found.distances, nearest.keys[:, 0], strict=True):
        assert key == (best if distance <= threshold else none)
    assert_close(found.distances, nearest.distances[:, 0])
    assert sum(key == none for key in found.keys) == 6


def test_metadata_follows_its_items():
    index = EmbeddingIndex()
    index.add(BANK[:2], ["a", "b"])
    index.add(BANK[2:4], ["c", "d"], [{"x": [1, None]}, "text"])
    index.add(BANK[4:5], ["e"])
    assert index.metadata(["d", "a", "c", "e"]) == ["text", None, {"x": [1, None]}, None]
    index.remove(["a", "c"])
    assert index.metadata(index.keys) == [None, "text", None]
    assert filled().metadata(NAMES[:2]) == [None, None]


@pytest.mark.parametrize("memory_map", [True, False])
@pytest.mark.parametrize("keys", [None, NAMES])
@pytest.mark.parametrize("distance", DISTANCES)
def test_save_and_load(distance, keys, memory_map, tmp_path):
    metadata = [{"row": row} for row in range(60)]
    index = filled(distance, keys=keys, metadata=metadata)
    path = tmp_path / "items.index"
    index.save(path)
    assert os.listdir(tmp_path) == ["items.index"]
    loaded = EmbeddingIndex.load(path, memory_map, dim=5)
    assert (loaded.distance, loaded.dim, len(loaded)) == (distance, 5, 60)
    assert loaded.memory_mapped == memory_map and loaded.keys.tolist() == index.keys.tolist()
    for ours, theirs in zip(loaded.search(QUERIES, 3), index.search(QUERIES, 3), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.metadata(index.keys[[7, 3]]) == [{"row": 7}, {"row": 3}]


def test_a_memory_mapped_index_can_change_and_its_file_does_not(tmp_path):
    path = tmp_path / "items.index"
    filled(metadata=NAMES).save(path)
    before = path.read_bytes()
    loaded = EmbeddingIndex.load(path)
    with pytest.raises(ValueError, match="read-only"):
        loaded.embeddings[0] = 0
    loaded.add(QUERIES, [f"q{number}" for number in range(13)], [1] * 13)
    loaded.remove(NAMES[5])
    assert not loaded.memory_mapped and len(loaded) == 72
    assert loaded.search(QUERIES[3:4]).keys.tolist() == [["q3"]]
    assert path.read_bytes() == before
    loaded.save(path)
    again = EmbeddingIndex.load(path)
    assert len(again) == 72 and NAMES[5] not in again and again.metadata(["q2", NAMES[6]]) == [1, NAMES[6]]


def test_the_graph_is_saved(tmp_path, monkeypatch):
    usearch = pytest.importorskip("usearch.index")
    index = filled("euclidean", exact=False)
    expected = index.search(QUERIES, 3)
    index.save(tmp_path / "items.index")
    monkeypatch.setattr(usearch.Index, "add", None)
    found = EmbeddingIndex.load(tmp_path / "items.index").search(QUERIES, 3)
    assert found.keys.tolist() == expected.keys.tolist()


def test_a_memory_mapped_index_is_not_read_into_memory(tmp_path):
    index = EmbeddingIndex("euclidean")
    index.add(np.zeros((40_000, 64), "float32"))
    index.save(tmp_path / "items.index")
    tracemalloc.start()
    loaded = EmbeddingIndex.load(tmp_path / "items.index")
    loaded.search(QUERIES[:1].repeat(64, axis=1)[:, :64], 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.7 * loaded.embeddings.nbytes


@pytest.mark.parametrize("texts", [True, False])
def test_an_empty_index(texts, tmp_path):
    index = EmbeddingIndex(dim=5)
    if texts:
        index.add(BANK[:2], ["a", "b"], [1, 2])
        index.remove(["a", "b"])
    with pytest.raises(ValueError, match="The index is empty: add embeddings before the search"):
        index.search(QUERIES)
    index.save(tmp_path / "items.index")
    loaded = EmbeddingIndex.load(tmp_path / "items.index")
    assert len(loaded) == 0 and loaded.dim == 5 and loaded.embeddings.shape == (0, 5)
    assert 0 not in loaded and loaded.metadata([]) == []
    with pytest.raises(ValueError, match=r"embeddings must be \(rows, 5\), got shape \(60, 4\)"):
        loaded.add(BANK[:, :4])
    loaded.add(BANK, NAMES)
    assert loaded.search(BANK[3:4]).keys.tolist() == [[NAMES[3]]]


def test_an_index_that_was_emptied_takes_keys_of_either_kind():
    index = EmbeddingIndex()
    index.add(BANK[:2], ["a", "b"])
    index.remove(["a", "b"])
    assert index.add(BANK[:2]).tolist() == [0, 1]
    assert index.keys.dtype == "int64" and index.keys.tolist() == [0, 1]


def parts(path):
    """Where in the file which array stands, and the table of contents as text."""
    data = path.read_bytes()
    length = int(data[-47:].split()[0])
    contents = json.loads(data[-47 - length : -47])
    return data, contents, length


def test_no_damage_goes_unnoticed(tmp_path):
    path = tmp_path / "items.index"
    filled(metadata=NAMES).save(path)
    data, contents, length = parts(path)
    for end in (0, 5, 30, 700, len(data) - 40, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(
            ValueError, match=r"items.index cannot be read as an EmbeddingIndex: it is (a file|trunc)"
        ):
            EmbeddingIndex.load(path, verify=False)
    for name, entry in contents["arrays"].items():
        flipped = bytearray(data)
        flipped[entry["offset"] + 5] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="it is damaged: " + name):
            EmbeddingIndex.load(path)
    for position in (-47 - length + 3, -40, -60):
        flipped = bytearray(data)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="cannot be read as an EmbeddingIndex"):
            EmbeddingIndex.load(path, verify=False)
    path.write_bytes(data[:64] + data[128:])  # something is missing in the middle
    with pytest.raises(ValueError, match="it is damaged"):
        EmbeddingIndex.load(path, verify=False)


def rewritten(path, **changes):
    import zlib

    data, contents, length = parts(path)
    contents = json.dumps({**contents, **changes}).encode()
    tail = f"{len(contents):20d} {zlib.crc32(contents):10d} ".encode() + data[-15:]
    path.write_bytes(data[: -47 - length] + contents + tail)


def test_files_of_another_kind_version_or_width(tmp_path):
    path = tmp_path / "items.index"
    filled().save(path)
    with pytest.raises(ValueError, match="embeddings in .*items.index have 5 entries, wanted are 64"):
        EmbeddingIndex.load(path, dim=64)
    with pytest.raises(ValueError, match=r"queries must be \(queries, 5\), got shape \(13, 4\)"):
        EmbeddingIndex.load(path).search(QUERIES[:, :4])
    rewritten(path, version=2)
    with pytest.raises(ValueError, match="it is of version 2, this release reads up to version 1"):
        EmbeddingIndex.load(path)
    rewritten(path, version=1, kind="something")
    with pytest.raises(ValueError, match="it holds 'something'"):
        EmbeddingIndex.load(path)
    rewritten(path, kind="EmbeddingIndex", distance="hamming")
    with pytest.raises(ValueError, match="distance must be one of"):
        EmbeddingIndex.load(path)
    np.save(tmp_path / "other.npy", BANK)
    with pytest.raises(ValueError, match="it is a file of another kind"):
        EmbeddingIndex.load(tmp_path / "other.npy")
    with pytest.raises(FileNotFoundError):
        EmbeddingIndex.load(tmp_path / "missing")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "items.index"
    filled().save(path)
    before = path.read_bytes()

    def full(self, description):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(array_file.ArrayWriter, "finish", full)
    with pytest.raises(OSError, match="No space left"):
        filled("euclidean").save(path)
    assert os.listdir(tmp_path) == ["items.index"] and path.read_bytes() == before


NAN = np.where(np.arange(60)[:, None] == 3, np.nan, BANK)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda index: EmbeddingIndex("manhattan"), ValueError, "distance must be one of cosine, euclidean"),
        (lambda index: EmbeddingIndex(dim=0), ValueError, "dim must be at least 1, got 0"),
        (lambda index: index.add(NAN), ValueError, "embeddings must be finite, got NaN or infinity in row 3"),
        (lambda index: index.add(BANK[0]), ValueError, r"embeddings must be \(rows, 5\), got shape \(5,\)"),
        (lambda index: index.add(BANK[:2]), TypeError, "keys must be given"),
        (
            lambda index: index.add(BANK[:2], [1, 2]),
            TypeError,
            "keys must be strings like those in the index",
        ),
        (lambda index: index.add(BANK[:2], ["x"]), ValueError, "one for each of the 2 embeddings, got 1"),
        (lambda index: index.add(BANK[:2], ["x", "x"]), ValueError, "keys must be different, got 'x' twice"),
        (lambda index: index.add(BANK[:1], NAMES[3:4]), ValueError, "got 'item 3, é', which is in the index"),
        (
            lambda index: index.add(BANK[:1], ["x"], [{1, 2}]),
            TypeError,
            "metadata must be what JSON can write",
        ),
        (lambda index: index.add(BANK[:1], ["x"], []), ValueError, "metadata must be one for each of the 1"),
        (lambda index: index.remove("unknown"), KeyError, "no item with key 'unknown'"),
        (lambda index: index.remove([NAMES[0], "x", "y", "z"]), KeyError, "key 'x' and 2 others"),
        (lambda index: index.metadata(["x"]), KeyError, "no item with key 'x'"),
        (lambda index: index.search(QUERIES, 0), ValueError, "k must be at least 1, got 0"),
        (lambda index: index.search(NAN), ValueError, "queries must be finite, got NaN or infinity in row 3"),
        (lambda index: index.search(QUERIES[0]), ValueError, r"queries must be \(queries, 5\)"),
        (lambda index: filled(keys=[-1, *range(59)]), ValueError, "keys must not be negative, got -1"),
        (lambda index: filled(keys=np.arange(60.0)), TypeError, "keys must be whole numbers or strings"),
        (lambda index: filled(keys=[1, "a"] * 30), TypeError, "keys must be whole numbers or strings"),
        (lambda index: filled(keys=None).add(BANK, NAMES), TypeError, "must be whole numbers like those in"),
    ],
)
def test_bad_input_changes_nothing(call, error, says):
    index = filled()
    with pytest.raises(error, match=says):
        call(index)
    assert len(index) == 60 and index.search(BANK).keys[:, 0].tolist() == NAMES


def test_tensors_and_a_copy():
    bank = BANK.copy()
    index = EmbeddingIndex("inner_product")
    index.add(keras.ops.convert_to_tensor(bank), keras.ops.arange(60))
    other = EmbeddingIndex("inner_product")
    other.add(bank)
    bank[:] = 0
    for one in (index, other):
        assert (
            one.search(keras.ops.convert_to_tensor(QUERIES)).keys.tolist()
            == filled("inner_product", keys=None).search(QUERIES).keys.tolist()
        )


def test_without_usearch_a_large_index_warns_and_is_exact(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setattr(nearest_neighbors, "EXACT_UP_TO", 10)
    with caplog.at_level(logging.WARNING, logger="contrast"):
        assert filled().search(BANK[:1]).keys.tolist() == [[NAMES[0]]]
    assert "Searching 60 rows one by one" in caplog.text
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keras-contrast\[retrieval\]'"):
        filled(exact=False).search(QUERIES)
