import logging

import h5py
import keras
import numpy as np
import pytest
import tf_keras as keras2

from contrast.transfer import copy_weights_from_keras2, load_keras2
from contrast.transfer.keras2_files import read_weights
from tests.case import assert_close, check_saved, to_numpy
from tests.transfer.keras2_models import (
    check_equal_outputs,
    converted,
    lines,
    model,
    randomised,
    sequences,
    vectors,
)

L = keras2.layers


@pytest.mark.parametrize(
    ("make", "suffix"),
    [(vectors, ".h5"), (sequences, ".h5"), (vectors, ".keras")],
)
def test_from_a_file(make, suffix, tmp_path):
    old = model(make)
    old.save(tmp_path / f"model{suffix}")
    new = load_keras2(tmp_path / f"model{suffix}", verify=False)
    for ours, theirs in zip(new.get_weights(), converted(make).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_result_is_an_ordinary_model(tmp_path):
    new = converted(lines)
    x = np.random.default_rng(0).normal(size=(2, 8, 3)).astype("float32")
    check_saved(new, x, tmp_path)


def test_shared_layers_stay_shared():
    old, new = model(vectors), load_keras2(model(vectors), verify=False)
    assert len(new.weights) == len(old.weights)
    x = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    new.get_layer("tower").layers[0].kernel.assign(np.zeros((6, 6)))
    new.get_layer("tower").layers[0].bias.assign(np.zeros(6))
    # Now the tower forgets its input, in both places where it is used.
    outputs = new({"first": x, "second": -3 * x})
    assert_close(outputs["grid"][0], to_numpy(outputs["grid"][1]))


def test_frozen_layers_stay_frozen_and_keep_their_weights(tmp_path):
    inputs = L.Input((5,))
    inner = keras2.Sequential([L.Input((5,)), L.Dense(4), L.BatchNormalization(), L.Dense(3)], name="inner")
    inner.layers[0].trainable = False
    old = randomised(keras2.Model(inputs, L.Dense(2, trainable=False)(inner(inputs, training=False))))
    old.save(tmp_path / "frozen.h5")
    for source in (old, tmp_path / "frozen.h5"):
        new = load_keras2(source, verify=False)
        check_equal_outputs(new, old)
        assert [tuple(w.shape) for w in new.trainable_weights] == [(4,), (4,), (4, 3), (3,)]


def test_outputs_are_compared(monkeypatch):
    old = model(lines)
    load_keras2(old, sample=np.ones((1, 8, 3), "float32"))
    monkeypatch.setitem(keras.layers.__dict__, "GlobalMaxPooling1D", keras.layers.GlobalAveragePooling1D)
    with pytest.raises(ValueError, match="outputs of Keras 3 and Keras 2 differ by"):
        load_keras2(old)


class Scale(L.Layer):
    def build(self, shape):
        self.factor = self.add_weight("factor", (shape[-1],))

    def call(self, x):
        return x * self.factor


class Scale3(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(name="factor", shape=(shape[-1],))

    def call(self, x):
        return x * self.factor


def test_custom_layers(tmp_path, caplog):
    old = randomised(keras2.Sequential([L.Input((4,)), L.Dense(3), Scale(name="scale")]))
    with pytest.raises(ValueError, match=r"layer 'scale' \(Scale\): .*custom_objects={'Scale'"):
        load_keras2(old)
    check_equal_outputs(load_keras2(old, custom_objects={"Scale": Scale3}), old)
    old.save(tmp_path / "custom.h5")
    with caplog.at_level(logging.WARNING, "contrast"):
        check_equal_outputs(load_keras2(tmp_path / "custom.h5", custom_objects={"Scale": Scale3}), old)
    assert "not compared" in caplog.text


def test_layers_that_cannot_be_converted_are_named():
    inputs = L.Input((4, 4))
    x = L.Lambda(lambda x: x * 2, name="double")(inputs) + 1.0
    x = L.LSTM(3, time_major=True, return_sequences=True, name="time_first")(x)
    x = L.SimpleRNN(3, unroll=True, name="unrolled")(x)
    old = keras2.Model(inputs, L.CategoryEncoding(5, name="encode")(x))
    with pytest.raises(ValueError, match="copy_weights_from_keras2") as error:
        load_keras2(old)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 5
    assert "layer 'double' (Lambda): a Lambda holds Python code" in lines[0]
    assert (
        "layer 'tf.__operators__.add' (TFOpLambda): a raw TensorFlow operation has no Keras 3 layer"
        in lines[1]
    )
    assert "layer 'time_first' (LSTM): time_major=True" in lines[2]
    assert "layer 'unrolled' (SimpleRNN): unroll=True" in lines[3]
    assert "layer 'encode' (CategoryEncoding): this class is not among" in lines[4]


class Subclassed(keras2.Model):
    def __init__(self):
        super().__init__()
        self.body, self.head = L.Dense(3, name="body"), L.Dense(2, name="head")

    def call(self, x):
        return self.head(self.body(x))


def test_bad_sources(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        load_keras2(tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("nothing")
    with pytest.raises(ValueError, match="is not an HDF5 file"):
        load_keras2(tmp_path / "text.h5")
    model(lines).save_weights(tmp_path / "weights.h5")
    with pytest.raises(ValueError, match="holds weights only.*copy_weights_from_keras2"):
        load_keras2(tmp_path / "weights.h5")
    with pytest.raises(ValueError, match="is a folder.*SavedModel"):
        load_keras2(tmp_path)
    new = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    new.save(tmp_path / "new.keras")
    with pytest.raises(ValueError, match="was written by Keras 3.*keras.models.load_model"):
        load_keras2(tmp_path / "new.keras")
    with pytest.raises(TypeError, match="got one of Keras 3"):
        load_keras2(new)
    with pytest.raises(TypeError, match="tf_keras model or a path, got int"):
        load_keras2(3)
    with pytest.raises(ValueError, match="is not built"):
        load_keras2(keras2.Sequential([L.Dense(2)]))
    subclassed = Subclassed()
    subclassed(np.ones((1, 4)))
    with pytest.raises(ValueError, match=r"subclassed model \(Subclassed\)"):
        load_keras2(subclassed)


def twin():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(keras.layers.Dense(3, name="body")(inputs)))


def test_weights_by_name_into_a_twin(tmp_path):
    old = Subclassed()
    old(np.ones((1, 4)))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    old.save_weights(tmp_path / "weights.h5")
    for source in (old, tmp_path / "weights.h5"):
        new = twin()
        report = copy_weights_from_keras2(source, new)
        assert {row.target for row in report.moved} == {
            "body/kernel",
            "body/bias",
            "head/kernel",
            "head/bias",
        }
        assert_close(new(x), old(x).numpy())
    with pytest.raises(ValueError, match="'boddy': no weight of the source .* did you mean 'body'"):
        copy_weights_from_keras2(old, twin(), {"body": "boddy"})
    with pytest.raises(ValueError, match=r"misshaped: head/kernel \(3, 2\) <- body/kernel \(4, 3\)"):
        copy_weights_from_keras2(old, twin(), {"head": "body"})


def test_twin_with_recurrence_and_inner_models(tmp_path):
    old, new = model(sequences), converted(sequences)
    expected = new.get_weights()
    new.set_weights([np.zeros_like(weight) for weight in expected])
    report = copy_weights_from_keras2(old, new)
    assert not report.untouched and not report.unused
    for ours, theirs in zip(new.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert "second/forward_layer/cell/kernel" in {row.source for row in report.moved}
    old = model(vectors)
    old.save_weights(tmp_path / "weights.h5")
    assert len(copy_weights_from_keras2(tmp_path / "weights.h5", converted(vectors)).moved) == 8


def test_weights_of_a_file_without_layers(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(ValueError, match="holds no weights in the layout of Keras 2"):
        copy_weights_from_keras2(tmp_path / "other.h5", twin())


def test_long_lists_of_names_are_split_in_files(tmp_path):
    with h5py.File(tmp_path / "long.h5", "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"first"], [b"second"]
        for name in ("first", "second"):
            file.create_group(name).attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            file[name][f"{name}/kernel:0"] = np.zeros((2, 3))
    assert list(read_weights(tmp_path / "long.h5").layers) == [("first",), ("second",)]
