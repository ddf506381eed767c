import os
import signal
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest

from contrast.retrieval import EmbeddingIndex, index_from
from tests.case import assert_close

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(24, 6)).astype("float32")
NAMES = [f"row {number}" for number in range(24)]


def make_encoder(dim=4):
    dense = keras.layers.Dense(dim, kernel_initializer=keras.initializers.GlorotUniform(seed=0))
    return keras.Sequential([keras.Input((6,)), dense])


@pytest.fixture(scope="module")
def encoder():
    return make_encoder()


class Batches(keras.utils.PyDataset):
    """Rows with keys or labels, eight at once."""

    shuffle = False

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(8 * index, 8 * index + 8)
        return ROWS[part], np.array(NAMES[part])


def generator():
    yield from map(Batches().__getitem__, range(3))


def tf_data():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((ROWS, NAMES)).batch(8)


def check(index, encoder, keys, distance="cosine"):
    embeddings = encoder.predict(ROWS, batch_size=8, verbose=0)
    expected = EmbeddingIndex(distance)
    expected.add(embeddings, keys)
    assert_close(index.embeddings, expected.embeddings)
    assert index.keys.tolist() == expected.keys.tolist()
    assert index.search(embeddings).keys[:, 0].tolist() == index.keys.tolist()
    assert index.distance == distance


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize(
    ("data", "options", "keys"),
    [
        (lambda: ROWS, {}, range(24)),
        (lambda: keras.ops.convert_to_tensor(ROWS), {"keys": NAMES}, NAMES),
        (lambda: Batches(), {"distance": "euclidean"}, range(24)),
        (lambda: Batches(), {"keys_from_batches": True}, NAMES),
        (generator, {"keys_from_batches": True}, NAMES),
        (generator, {"keys": np.arange(24) + 5}, range(5, 29)),
        (tf_data, {"keys_from_batches": True}, NAMES),
    ],
)
def test_data_of_any_kind(encoder, data, options, keys, on_disk, tmp_path, capsys):
    path = tmp_path / "items.index" if on_disk else None
    index = index_from(encoder, data(), path, batch_size=8, **options)
    check(index, encoder, keys, options.get("distance", "cosine"))
    assert index.memory_mapped == on_disk
    assert os.listdir(tmp_path) == ["items.index"] * on_disk
    if on_disk:
        check(EmbeddingIndex.load(path, memory_map=False), encoder, keys, index.distance)
    assert "Encoding: 100%" in capsys.readouterr().err or not hasattr(data(), "__len__")


@pytest.mark.once
def test_files_metadata_and_silence(encoder, tmp_path, capsys):
    paths = [tmp_path / f"{number}.npy" for number in range(24)]
    for path, row in zip(paths, ROWS, strict=True):
        np.save(path, 2 * row)
    index = index_from(
        encoder,
        paths,
        tmp_path / "items.index",
        keys=[path.name for path in paths],
        metadata=[{"row": number} for number in range(24)],
        preprocess=lambda batch: np.stack([np.load(path) for path in batch]) / 2,
        batch_size=5,
        exact=True,
        verbose=False,
    )
    check(index, encoder, [path.name for path in paths])
    assert index.metadata(["7.npy"]) == [{"row": 7}] and index.exact is True
    assert capsys.readouterr().err == ""


@pytest.mark.once
def test_data_larger_than_memory(tmp_path):
    """40 batches of 1 MB whose embeddings are 1 MB each: never more than a few are held."""
    doubled = keras.layers.Rescaling(2.0)
    batches = (np.full((1024, 256), 1.0 + number, "float32") for number in range(40))
    tracemalloc.start()
    index = index_from(doubled, batches, tmp_path / "items.index", distance="euclidean", verbose=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6 and index.embeddings.nbytes == 40 * 1024**2
    assert index.embeddings[-1, 0] == 80


@pytest.mark.once
def test_an_error_amid_the_data_leaves_what_was_there(encoder, tmp_path):
    path = tmp_path / "items.index"

    def broken():
        yield ROWS[:8], NAMES[:8]
        raise KeyboardInterrupt

    for earlier in (False, True):
        with pytest.raises(KeyboardInterrupt):
            index_from(encoder, broken(), path, keys_from_batches=True, verbose=False)
        assert os.listdir(tmp_path) == ["items.index"] * earlier
        if earlier:
            check(EmbeddingIndex.load(path), encoder, NAMES)
        index_from(encoder, ROWS, path, keys=NAMES, verbose=False)


def shuffled():
    data = Batches()
    data.shuffle = True
    return data


def repeated():
    yield ROWS[:8], NAMES[:8]
    yield ROWS[8:16], NAMES[7:15]


def widths():
    yield ROWS
    yield ROWS[:, :3]


NAN = np.where(np.arange(24)[:, None] == 19, np.nan, ROWS)


@pytest.mark.once
@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize(
    ("data", "options", "error", "says"),
    [
        (ROWS[:0], {}, ValueError, "data must hold at least one row"),
        ([], {}, ValueError, "data must hold at least one row"),
        (ROWS, {"keys": NAMES[:3]}, ValueError, "keys must be one for each of the 24 rows of data, got 3"),
        (ROWS, {"metadata": NAMES[:3]}, ValueError, "metadata must be one for each of the 24 rows"),
        (generator, {"keys": [*NAMES, "more"]}, ValueError, "keys must be one for each of the 24 rows"),
        (ROWS, {"keys": NAMES, "keys_from_batches": True}, ValueError, "either keys or keys_from_batches"),
        (ROWS, {"keys_from_batches": True}, TypeError, "keys_from_batches needs data in batches"),
        ([ROWS], {"keys_from_batches": True}, TypeError, r"Batches must be \(x, keys\)"),
        (repeated, {"keys_from_batches": True}, ValueError, "got 'row 7', which is in the index"),
        (NAN, {"batch_size": 8}, ValueError, "embeddings must be finite, got NaN or infinity in row 19"),
        (shuffled, {}, ValueError, "data must not be shuffled"),
        (3, {}, TypeError, "data must be an array, .* got int"),
        (["missing.png"], {"preprocess": len}, FileNotFoundError, "missing.png"),
        (ROWS, {"distance": "l1"}, ValueError, "distance must be one of"),
        (
            ROWS,
            {"preprocess": lambda x: x[:5]},
            ValueError,
            r"for each of the 24 .* got \(5, 4\)",
        ),
    ],
)
def test_bad_input_leaves_no_file(encoder, data, options, error, says, on_disk, tmp_path):
    with pytest.raises(error, match=says):
        data = data() if callable(data) else data
        index_from(encoder, data, tmp_path / "x.index" if on_disk else None, verbose=False, **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.once
def test_encoders_that_do_not_fit(tmp_path):
    with pytest.raises(TypeError, match="encoder must be a Keras model or layer, got function"):
        index_from(lambda x: x, ROWS)
    two = keras.Input((6,))
    model = keras.Model(two, [two, two])
    with pytest.raises(ValueError, match=r"must give one array \(rows, dim\), .* got list"):
        index_from(model, ROWS, verbose=False)
    with pytest.raises(ValueError, match=r"embeddings must be \(rows, 6\), got shape \(24, 3\)"):
        index_from(keras.layers.Identity(), widths(), tmp_path / "x.index", verbose=False)


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from contrast.retrieval import index_from
from tests.retrieval.test_index_from import ROWS, make_encoder

def slow(batch):
    print("batch", flush=True)
    time.sleep(0.3)
    return batch

index_from(make_encoder(), ROWS, sys.argv[2], preprocess=slow, batch_size=1, verbose=False)
"""


@pytest.mark.once
@pytest.mark.slow
def test_a_killed_process_leaves_no_index(encoder, tmp_path):
    path = tmp_path / "items.index"
    command = [sys.executable, "-c", PROGRAM, os.getcwd(), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(4):
        assert process.stdout.readline() == "batch\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    check(index_from(encoder, ROWS, path, verbose=False), encoder, range(24))
