import errno
import json
import logging
import os
import time

import keras
import numpy as np
import pytest

from contrast.encoders import ResNet
from contrast.features import cache, cached_features, entry, open_features
from tests.case import assert_close, to_numpy

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(10, 3)).astype("float32")


def small_encoder(units=2, seed=0, **kwargs):
    kernel = keras.initializers.GlorotUniform(seed=seed)
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(units, kernel_initializer=kernel, **kwargs)]
    )


def shifted(rows):
    return rows + 1


@pytest.fixture
def calls(monkeypatch):
    """The lengths of the batches that were encoded."""
    lengths, encode = [], cache.encode

    def counting(encoder, batch):
        lengths.append(len(keras.tree.flatten(batch)[0]))
        return encode(encoder, batch)

    monkeypatch.setattr(cache, "encode", counting)
    return lengths


def compute(encoder, data, folder, **kwargs):
    return cached_features(encoder, data, folder, verbose=False, **kwargs)


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_second_call_maps_the_file_and_encodes_nothing(tmp_path, calls):
    encoder = small_encoder()
    expected = encoder.predict(ROWS, verbose=0)
    first = compute(encoder, ROWS, tmp_path / "a" / "b", batch_size=4)
    assert calls == [4, 4, 2]
    second = compute(encoder, ROWS.copy(), tmp_path / "a" / "b", batch_size=3)
    assert calls == [4, 4, 2]
    for features in (first, second, open_features(tmp_path / "a" / "b", encoder)):
        assert isinstance(features, np.memmap) and not features.flags.writeable
        assert_close(features, expected)
    (name,) = entries(tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a" / "b" / name).iterdir()) == ["0.npy", "record.json"]


def test_an_encoder_is_recognised_when_it_is_made_again(tmp_path, calls):
    expected = to_numpy(compute(small_encoder(), ROWS, tmp_path))
    again = small_encoder()  # whose layers have other automatic names
    assert_close(compute(again, ROWS, tmp_path), expected)
    path = tmp_path / "encoder.keras"
    again.save(path)
    assert_close(compute(keras.models.load_model(path), ROWS, tmp_path), expected)
    assert len(calls) == 1


def changed_weight():
    encoder = small_encoder()
    encoder.layers[0].bias.assign([0.0, 1e-6])
    return encoder


@keras.saving.register_keras_serializable(package="contrast_tests")
class Doubling(keras.layers.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)


def double_with(factor):
    """A class as it is after its code was edited."""

    def call(self, inputs):
        return factor * keras.layers.Dense.call(self, inputs)

    return type("Doubling", (Doubling,), {"call": call, "__module__": Doubling.__module__})


CHANGES = {
    "encoder weights": ({"encoder": changed_weight}, {}),
    "encoder architecture": ({"encoder": lambda: small_encoder(activation="relu")}, {}),
    "encoder precision": ({"encoder": lambda: small_encoder(dtype="mixed_bfloat16")}, {}),
    "input": ({"data": ROWS + np.float32(1e-6)}, {}),
    "preprocessing": ({}, {"preprocess": shifted}),
}


@pytest.mark.parametrize("part", CHANGES)
def test_what_changed_is_noticed_and_named(part, tmp_path, calls, caplog):
    compute(small_encoder(), ROWS, tmp_path)
    arguments, keywords = CHANGES[part]
    encoder, data = arguments.get("encoder", small_encoder)(), arguments.get("data", ROWS)
    with pytest.raises(ValueError, match=f"features of something else: .*{part}.* differ"):
        open_features(tmp_path, encoder, data=data, **keywords)
    with caplog.at_level(logging.INFO, logger="contrast"):
        features = compute(encoder, data, tmp_path, **keywords)
    assert part in caplog.text and len(calls) == 2
    prepared = data if not keywords else shifted(data)
    assert_close(features, to_numpy(encoder.predict(prepared, verbose=0)).astype("float32"), 1e-6)
    assert_close(open_features(tmp_path, encoder, data=data, **keywords), features, 1e-7)
    compute(small_encoder(), ROWS, tmp_path)  # both are kept
    assert len(entries(tmp_path)) == 2 and len(calls) == 2


def test_edited_code_is_noticed(tmp_path):
    outputs = []
    for cls in (double_with(2.0), double_with(3.0), double_with(2.0)):
        layer = cls(1, kernel_initializer="ones")
        outputs.append(to_numpy(compute(layer, ROWS, tmp_path)))
    assert_close(outputs[1], 1.5 * outputs[0])
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize(
    "change", [{"data": ROWS.astype("float64")}, {"data": ROWS[:9]}, {"data": ROWS[::-1]}]
)
def test_other_types_lengths_and_orders_are_other_inputs(change, tmp_path):
    compute(small_encoder(), ROWS, tmp_path)
    compute(small_encoder(), change["data"], tmp_path)
    assert len(entries(tmp_path)) == 2


def test_a_new_version_recomputes(tmp_path, calls):
    encoder = small_encoder()
    for version in ("1", "2", "1"):
        compute(encoder, ROWS, tmp_path, preprocess=shifted, version=version)
    assert len(calls) == 2


def test_one_entry_or_the_right_words(tmp_path):
    encoder = small_encoder()
    compute(encoder, ROWS, tmp_path)
    (name,) = entries(tmp_path)
    assert open_features(tmp_path / name, encoder).shape == (10, 2)
    compute(encoder, ROWS[:4], tmp_path)
    with pytest.raises(ValueError, match="features of 2 inputs for this encoder; give data"):
        open_features(tmp_path, encoder)
    assert open_features(tmp_path, encoder, data=ROWS[:4]).shape == (4, 2)
    with pytest.raises(FileNotFoundError, match="no complete features"):
        open_features(tmp_path / "elsewhere", encoder)


@keras.saving.register_keras_serializable(package="contrast_tests")
class Taps(keras.Model):
    """A tree of outputs, of several ranks and types."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(4)

    def build(self, input_shape):
        self.dense.build(input_shape["x"])

    def call(self, inputs):
        pooled = self.dense(inputs["x"])
        tokens = keras.ops.stack([pooled, 2 * pooled], axis=1)
        return {"pooled": pooled, "tokens": (tokens, keras.ops.cast(inputs["x"] > 0, "int32"))}


def test_trees_in_and_out(tmp_path, calls):
    encoder, data = Taps(), {"x": ROWS}
    first = compute(encoder, data, tmp_path, batch_size=4)
    second = compute(encoder, data, tmp_path)
    assert len(calls) == 4  # one builds the encoder
    for features in (first, second):
        assert set(features) == {"pooled", "tokens"} and isinstance(features["tokens"], tuple)
        assert features["tokens"][0].shape == (10, 2, 4)
        assert_close(features["tokens"][0][:, 1], 2 * features["pooled"])
        np.testing.assert_array_equal(features["tokens"][1], ROWS > 0)
        assert features["tokens"][1].dtype == "int32"


def test_layers_dropout_batch_norm_and_half_precision(tmp_path):
    encoder = keras.Sequential(
        [keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    )
    assert_close(compute(encoder, ROWS, tmp_path), ROWS / np.sqrt(1.001), 1e-4)
    layer = keras.layers.Dense(2, dtype="mixed_bfloat16")
    features = compute(layer, ROWS, tmp_path)
    assert features.dtype == "float32" and features.shape == (10, 2)
    images = RNG.random((3, 8, 8, 1)).astype("float32")
    resnet = ResNet((1,), 4)  # not built
    assert_close(compute(resnet, images, tmp_path), resnet.predict(images, verbose=0))


class Batches(keras.utils.PyDataset):
    def __init__(self, sizes=(4, 4, 2)):
        super().__init__()
        self.parts = np.split(ROWS, np.cumsum(sizes)[:-1])

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        return self.parts[index], np.zeros(len(self.parts[index]))


class Stream:
    """No length, a new iterator each time."""

    def __iter__(self):
        return (part for part, _ in (Batches()[i] for i in range(3)))


@pytest.mark.parametrize("make", [Batches, Stream, lambda: list(Batches().parts)])
def test_batches(make, tmp_path, calls):
    encoder = small_encoder()
    for _ in range(2):
        assert_close(compute(encoder, make(), tmp_path), encoder.predict(ROWS, verbose=0))
    assert calls == [4, 4, 2]


def test_memory_maps_and_tensors_are_the_arrays_they_hold(tmp_path, calls):
    np.save(tmp_path / "rows.npy", ROWS)
    encoder = small_encoder()
    for data in (ROWS, np.load(tmp_path / "rows.npy", mmap_mode="r"), keras.ops.convert_to_tensor(ROWS)):
        compute(encoder, data, tmp_path / "features")
    assert len(calls) == 1


def read_rows(paths):
    return np.stack([np.loadtxt(path, dtype="float32") for path in paths])


def test_files(tmp_path, calls):
    def write(folder):
        folder.mkdir()
        for number, row in enumerate(ROWS):
            np.savetxt(folder / f"{number}.txt", row)
        return [folder / f"{number}.txt" for number in range(10)]

    encoder, paths = small_encoder(), write(tmp_path / "photos")
    features = compute(encoder, paths, tmp_path / "features", preprocess=read_rows, batch_size=8)
    assert_close(features, encoder.predict(ROWS, verbose=0))
    moved = [str(path) for path in write(tmp_path / "moved")]
    compute(encoder, moved, tmp_path / "features", preprocess=read_rows)
    assert calls == [8, 2]
    stat = paths[3].stat()
    paths[3].write_text(paths[3].read_text().replace("e", "E", 1))  # of the same size and time
    os.utime(paths[3], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    compute(encoder, paths, tmp_path / "features", preprocess=read_rows)
    compute(encoder, paths[::-1], tmp_path / "features", preprocess=read_rows)
    assert len(calls) == 4
    with pytest.raises(ValueError, match="preprocess must be a function that reads files"):
        compute(encoder, paths, tmp_path)
    with pytest.raises(FileNotFoundError, match="1 files that do not exist"):
        compute(encoder, [*paths, tmp_path / "missing.txt"], tmp_path, preprocess=read_rows)


def test_a_damaged_entry_is_computed_again(tmp_path, calls):
    encoder = small_encoder()
    expected = to_numpy(compute(encoder, ROWS, tmp_path))
    (name,) = entries(tmp_path)
    for damage in (
        lambda folder: (folder / "0.npy").write_bytes((folder / "0.npy").read_bytes()[:-1]),
        lambda folder: (folder / "record.json").write_text("{"),
        lambda folder: (folder / "record.json").unlink(),
        lambda folder: (folder / "record.json").write_text(json.dumps({"format": 0})),
    ):
        damage(tmp_path / name)
        with pytest.raises(FileNotFoundError, match="no complete features"):
            open_features(tmp_path, encoder)
        assert_close(compute(encoder, ROWS, tmp_path), expected, 1e-6)
        assert entries(tmp_path) == [name]
    assert len(calls) == 5


def test_an_error_leaves_nothing(tmp_path):
    def failing(rows):
        if len(rows) < 4:
            raise RuntimeError("a bad file")
        return rows

    with pytest.raises(RuntimeError, match="a bad file"):
        compute(small_encoder(), ROWS, tmp_path, preprocess=failing, batch_size=4)
    assert entries(tmp_path) == []


@pytest.mark.parametrize("full_after", [0, 100, 9000])
def test_a_full_disk_returns_features_from_memory_and_says_so(full_after, tmp_path, caplog):
    """A limit on the size of files takes the place of the full disk."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    rows = RNG.normal(size=(2000, 3)).astype("float32")
    encoder = small_encoder()
    expected = encoder.predict(rows, verbose=0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full_after, before[1]))
        with caplog.at_level(logging.WARNING, logger="contrast"):
            features = compute(encoder, rows, tmp_path, batch_size=300)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert_close(features, expected)
    assert os.strerror(errno.EFBIG) in caplog.text and "They stay in memory" in caplog.text
    assert entries(tmp_path) == []


def test_a_disk_that_is_full_at_the_last_moment(tmp_path, caplog, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(entry.os, "fsync", full)
    encoder = small_encoder()
    with caplog.at_level(logging.WARNING, logger="contrast"):
        assert_close(compute(encoder, ROWS, tmp_path), encoder.predict(ROWS, verbose=0))
    assert "No space left on device" in caplog.text
    assert entries(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    encoder = small_encoder()
    with caplog.at_level(logging.WARNING, logger="contrast"):
        features = compute(encoder, ROWS, tmp_path / "file" / "features")
    assert_close(features, encoder.predict(ROWS, verbose=0))
    assert "are not kept in" in caplog.text


def test_who_is_second_takes_what_the_first_one_stored(tmp_path):
    class Meanwhile:
        busy = False

        def __call__(self, rows):
            if not self.busy:
                self.busy = True
                compute(encoder, ROWS, tmp_path, preprocess=self, version="1")
            return rows

    encoder = small_encoder()
    features = compute(encoder, ROWS, tmp_path, preprocess=Meanwhile(), version="1")
    assert_close(features, encoder.predict(ROWS, verbose=0))
    assert len(entries(tmp_path)) == 1 and isinstance(features, np.memmap)


def test_leftovers_of_others_stay_for_a_day(tmp_path):
    part = tmp_path / ".part-another.machine-1-abc"
    part.mkdir()
    compute(small_encoder(), ROWS, tmp_path)
    assert part.exists()
    os.utime(part, (time.time() - 90_000,) * 2)
    compute(small_encoder(3), ROWS, tmp_path)
    assert not part.exists()


def test_not_finite_is_said_each_time(tmp_path, caplog):
    rows = ROWS.copy()
    rows[[4, 9]] = np.nan
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="contrast"):
            compute(small_encoder(), rows, tmp_path, batch_size=3)
        assert "features of 2 of 10 rows are not finite, the first of them row 4" in caplog.text


def test_progress(tmp_path, capsys):
    cached_features(small_encoder(), Batches(), tmp_path)
    assert "Reading: 100%" in (shown := capsys.readouterr().err) and "Encoding: 100%" in shown
    compute(small_encoder(), Batches((5, 5)), tmp_path)
    assert capsys.readouterr().err == ""


class Shuffling(Batches):
    """Other batches each time."""

    def __getitem__(self, index):
        return RNG.normal(size=(4, 3)).astype("float32")


def without_config():
    class Encoder(keras.Model):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, inputs):
            return inputs

    return Encoder(shifted)


SHUFFLED = Batches()
SHUFFLED.shuffle = True


@pytest.mark.parametrize(
    ("encoder", "data", "keywords", "error", "says"),
    [
        (small_encoder, ROWS[:0], {}, ValueError, "at least one row"),
        (small_encoder, [], {}, ValueError, "at least one row"),
        (small_encoder, {"x": ROWS, "y": ROWS[:3]}, {}, ValueError, "same number of rows"),
        (small_encoder, iter([ROWS]), {}, TypeError, "batches twice"),
        (small_encoder, "photos", {}, TypeError, r"write \['photos'\]"),
        (small_encoder, 3, {}, TypeError, "data must be an array"),
        (small_encoder, np.array([None]), {}, TypeError, "Python objects"),
        (small_encoder, SHUFFLED, {}, ValueError, "must not be shuffled"),
        (small_encoder, Shuffling(), {}, ValueError, "other batches the second time"),
        (small_encoder, ROWS, {"batch_size": 0}, ValueError, "batch_size must be"),
        (small_encoder, ROWS, {"preprocess": "grey"}, TypeError, "preprocess must be a function"),
        (small_encoder, ROWS, {"preprocess": lambda x: x[:2]}, ValueError, "got 2 for 10"),
        (lambda: shifted, ROWS, {}, TypeError, "encoder must be a Keras model or layer, got function"),
        (without_config, ROWS, {}, ValueError, "Encoder must define get_config"),
    ],
)
def test_bad_input(encoder, data, keywords, error, says, tmp_path):
    with pytest.raises(error, match=says):
        compute(encoder(), data, tmp_path, **keywords)
