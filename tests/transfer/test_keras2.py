import functools
import logging

import h5py
import keras
import numpy as np
import pytest
import tf_keras as keras2

from contrast.transfer import copy_weights_from_keras2, load_keras2
from contrast.transfer.keras2_files import read_weights
from contrast.transfer.keras2_layers import COVERED
from tests.case import assert_close, check_saved, to_numpy

L = keras2.layers


def randomised(model):
    """All weights drawn anew; those of normalisations too, so that they matter."""
    generator = np.random.default_rng(0)
    model.set_weights(
        [
            (
                generator.uniform(0.5, 1.5, w.shape)
                if w.ndim < 2
                else generator.normal(0, w[..., 0].size ** -0.5, w.shape)
            ).astype(w.dtype)
            for w in model.get_weights()
        ]
    )
    return model


def images():
    inputs = L.Input((12, 12, 3), name="images")
    x = L.Rescaling(0.5, offset=0.1)(inputs)
    x = L.Normalization(name="standard")(x)
    x = L.ZeroPadding2D(((0, 1), (1, 0)))(x)
    x = L.Conv2D(4, 3, strides=2, padding="same", groups=1, name="stem/conv", kernel_regularizer="l2")(x)
    x = L.BatchNormalization(epsilon=0.01)(x)
    x = L.ReLU(6.0)(x)
    a = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    b = L.SeparableConv2D(8, 3, padding="same", activation="swish")(x)
    x = L.Add()([a, b])
    x = L.UpSampling2D(2, interpolation="nearest")(L.MaxPooling2D(2, padding="same")(x))
    x = L.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    x = L.Cropping2D(1)(L.AveragePooling2D(3, strides=1)(x))
    x = L.SpatialDropout2D(0.3)(L.PReLU(shared_axes=[1, 2])(x))
    x = L.GroupNormalization(2)(L.LeakyReLU(alpha=0.1)(x))
    mean, most = L.GlobalAveragePooling2D(keepdims=True)(x), L.GlobalMaxPooling2D()(x)
    x = L.Concatenate()([L.Flatten()(mean), L.ELU(0.7)(most)])
    return keras2.Model(inputs, L.Activation("hard_sigmoid")(L.Dense(3)(x)), name="images")


def vectors():
    first, second = L.Input((6,), name="first"), L.Input((6,), name="second")
    tower = keras2.Sequential([L.Dense(6, "tanh", name="shared"), L.BatchNormalization()], name="tower")
    a, b = tower(first), tower(second)
    a = L.Multiply()([L.GaussianNoise(0.1)(a), L.GaussianDropout(0.1)(b)])
    b = L.Subtract()([L.AlphaDropout(0.1)(a), L.Dropout(0.5)(b)])
    c = L.Maximum()([L.Minimum()([a, b]), L.Average()([a, b])])
    c = L.ActivityRegularization(l2=0.1)(L.UnitNormalization()(L.LayerNormalization()(c)))
    similarity = L.Dot(axes=-1, normalize=True)([a, c])
    c = L.Softmax()(L.Permute((2, 1))(L.Reshape((2, 3))(c)))
    return keras2.Model(
        {"first": first, "second": second}, {"similarity": similarity, "grid": c}, name="vectors"
    )


def sequences():
    tokens = L.Input((4,), dtype="int32", name="tokens")
    x = L.Embedding(11, 6, mask_zero=True)(tokens)
    x = L.Bidirectional(L.LSTM(3, return_sequences=True, unroll=True))(x)
    x = L.Bidirectional(L.GRU(2, return_sequences=True, unroll=True), merge_mode="sum", name="second")(x)
    x = L.TimeDistributed(L.Dense(6))(x)
    attended = L.MultiHeadAttention(2, 3)(x, x)
    x = L.LayerNormalization(epsilon=1e-6)(L.Add()([x, attended]))
    x = L.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d", activation="gelu")(x)
    x = L.Attention(use_scale=True)([x, L.AdditiveAttention()([x, x])])
    states = L.GRU(4, return_sequences=True, return_state=True, recurrent_activation="hard_sigmoid")(x)
    x = L.SimpleRNN(4, go_backwards=True)(L.Masking()(states[0]), initial_state=states[1])
    return keras2.Model(tokens, [x, states[1]], name="sequences")


def lines():
    inputs = L.Input((8, 3), name="lines")
    x = L.ZeroPadding1D(2)(L.Conv1D(4, 3, padding="causal", dilation_rate=2)(inputs))
    x = L.SeparableConv1D(4, 3)(L.DepthwiseConv1D(3, padding="same")(x))
    x = L.Cropping1D((0, 1))(L.Conv1DTranspose(4, 3, strides=2)(x))
    x = L.UpSampling1D(2)(L.AveragePooling1D(2)(L.MaxPooling1D(2)(L.SpatialDropout1D(0.1)(x))))
    x = L.Add()([L.GlobalAveragePooling1D()(x), L.GlobalMaxPooling1D()(x)])
    return keras2.Model(inputs, L.RepeatVector(3)(x), name="lines")


def volumes():
    inputs = L.Input((4, 4, 4, 2), name="volumes")
    x = L.ZeroPadding3D(1)(L.Conv3D(3, 3, padding="same")(inputs))
    x = L.Cropping3D(1)(L.Conv3DTranspose(2, 2, strides=2)(L.MaxPooling3D(2)(x)))
    x = L.UpSampling3D(2)(L.AveragePooling3D(2)(L.SpatialDropout3D(0.1)(x)))
    return keras2.Model(
        inputs, L.Add()([L.GlobalAveragePooling3D()(x), L.GlobalMaxPooling3D()(x)]), name="volumes"
    )


MODELS = (images, vectors, sequences, lines, volumes)


@functools.cache
def model(make):
    """Each model is made once."""
    keras2.backend.clear_session()
    return randomised(make())


@functools.cache
def converted(make):
    """And converted once, for all tests that restore what they change."""
    return load_keras2(model(make), verify=False)


def classes(old):
    for layer in old.layers:
        yield type(layer).__name__
        yield from classes(layer) if hasattr(layer, "layers") else ()
        if hasattr(layer, "layer"):
            yield type(layer.layer).__name__


def sample(old, generator):
    def draw(tensor):
        shape = (3, *tensor.shape[1:])
        return generator.integers(0, 11, shape) if tensor.dtype == "int32" else generator.normal(size=shape)

    return {tensor.name: draw(tensor).astype(tensor.dtype.as_numpy_dtype) for tensor in old.inputs}


def check_equal_outputs(new, old):
    x = sample(old, np.random.default_rng(1))
    x = x if len(x) > 1 else next(iter(x.values()))
    expected, actual = old(x, training=False), new.predict(x, verbose=0)
    for theirs, ours in zip(keras.tree.flatten(expected), keras.tree.flatten(actual), strict=True):
        theirs = theirs.numpy()
        assert np.ptp(theirs, axis=0).max() > 1e-3 * np.abs(theirs).max(), (
            "the output hardly depends on the input"
        )
        assert_close(ours, theirs)


def test_every_class_is_tested():
    assert COVERED - {name for make in MODELS for name in classes(model(make))} == set()


@pytest.mark.parametrize("make", MODELS)
def test_equal_outputs(make):
    old, new = model(make), converted(make)
    check_equal_outputs(new, old)
    assert [layer.name for layer in new.layers] == [layer.name.replace("/", "_") for layer in old.layers]
    assert [layer.trainable for layer in new.layers] == [layer.trainable for layer in old.layers]


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
    x = L.LSTM(3, time_major=True, name="time_first")(x)
    old = keras2.Model(inputs, L.CategoryEncoding(5, name="encode")(x))
    with pytest.raises(ValueError, match="copy_weights_from_keras2") as error:
        load_keras2(old)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 4
    assert "layer 'double' (Lambda): a Lambda holds Python code" in lines[0]
    assert (
        "layer 'tf.__operators__.add' (TFOpLambda): a raw TensorFlow operation has no Keras 3 layer"
        in lines[1]
    )
    assert "layer 'time_first' (LSTM): time_major=True" in lines[2]
    assert "layer 'encode' (CategoryEncoding): this class is not among" in lines[3]


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
