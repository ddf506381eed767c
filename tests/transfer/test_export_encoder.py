import os
import sys

import keras
import numpy as np
import pytest

from contrast import encoders
from contrast.transfer import export_encoder
from tests.case import assert_close

MODULE = sys.modules[export_encoder.__module__]
BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(4, 3)).astype("float32")
FORMATS = {"tensorflow": ("saved_model", "onnx"), "jax": ("saved_model",), "torch": ("onnx",)}[BACKEND]


@pytest.fixture
def format(request):
    if request.param == "onnx":
        for package in ("onnx", "onnxruntime", "onnxscript", "tf2onnx"):
            pytest.importorskip(package)
    return request.param


each_format = pytest.mark.parametrize("format", FORMATS, indirect=True)


def make_encoder():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.UnitNormalization()])


class Embeds(keras.Model):
    """A class of its own, which takes integers."""

    def __init__(self):
        super().__init__()
        self.embedding = keras.layers.Embedding(7, 4)

    def call(self, ids, training=None):
        if training:
            raise AssertionError("exported in training mode")
        return keras.ops.mean(self.embedding(ids), axis=1)


def read(path, format, rows):
    """What another program would get out of the file."""
    if format == "saved_model":
        import tensorflow as tf

        model = tf.saved_model.load(str(path))  # its variables live as long as this does
        return np.asarray(model.serve(tf.constant(rows)))
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {session.get_inputs()[0].name: rows})[0]


@each_format
def test_the_file_gives_what_the_encoder_gives_for_any_number_of_rows(format, tmp_path):
    encoder, path = make_encoder(), tmp_path / "encoder"
    assert export_encoder(encoder, path, format, check=ROWS) < 1e-5
    assert os.listdir(tmp_path) == ["encoder"]
    assert path.is_dir() == (format == "saved_model")
    many = RNG.normal(size=(9, 3)).astype("float32")
    assert_close(read(path, format, many), encoder.predict(many, verbose=0))
    encoder.set_weights([2 - weight for weight in encoder.get_weights()])
    assert export_encoder(encoder, path, format) is None  # in the place of the earlier one, unchecked
    assert os.listdir(tmp_path) == ["encoder"]
    assert_close(read(path, format, many), encoder.predict(many, verbose=0))


@each_format
def test_a_model_that_is_a_class_with_integer_inputs(format, tmp_path):
    encoder, ids = Embeds(), RNG.integers(0, 7, (4, 5)).astype("int32")
    export_encoder(encoder, tmp_path / "encoder", format, check=ids)
    assert_close(read(tmp_path / "encoder", format, ids[:3]), encoder.predict(ids[:3], verbose=0))


@each_format
def test_several_inputs_and_outputs(format, tmp_path):
    one, two = keras.Input((3,), name="z"), keras.Input((2,), name="a")
    outputs = [keras.layers.Dense(2)(one), keras.layers.Dense(3)(two)]
    data = [ROWS, ROWS[:, :2]]
    assert export_encoder(keras.Model([one, two], outputs), tmp_path / "list", format, check=data) < 1e-5
    named = keras.Model({"z": one, "a": two}, keras.layers.Dense(3)(keras.layers.Concatenate()([one, two])))
    assert export_encoder(named, tmp_path / "named", format, check=dict(zip("za", data, strict=True))) < 1e-5


@pytest.mark.parametrize("format", FORMATS[:1], indirect=True)
def test_a_file_that_gives_something_else_is_not_kept(format, tmp_path, monkeypatch):
    outputs = MODULE._outputs
    monkeypatch.setattr(MODULE, "_outputs", lambda *arguments: [outputs(*arguments)[0] + 0.5])
    for _ in range(2):
        with pytest.raises(ValueError, match="in output 0 the largest difference is .* tolerance is 0.0001"):
            export_encoder(make_encoder(), tmp_path / "encoder", format, check=ROWS)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", FORMATS[:1], indirect=True)
def test_something_else_in_the_place_stays(format, tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="encoder holds something else than an earlier export"):
        export_encoder(make_encoder(), tmp_path / "encoder", format)
    assert (tmp_path / "encoder" / "thesis.txt").read_text() == "mine"


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow writes both")
def test_a_backend_that_cannot_says_which_can(tmp_path):
    format, other = {"torch": ("saved_model", "tensorflow or jax"), "jax": ("onnx", "torch or tensorflow")}[
        BACKEND
    ]
    with pytest.raises(ValueError, match=f"can be written on {other}, not on {BACKEND}: .* KERAS_BACKEND="):
        export_encoder(make_encoder(), tmp_path / "encoder", format)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", FORMATS[-1:], indirect=True)
def test_bad_input(format, tmp_path, monkeypatch):
    path = tmp_path / "encoder"
    with pytest.raises(TypeError, match=r"encoder must be a keras.Model, got Dense"):
        export_encoder(keras.layers.Dense(2), path, format)
    with pytest.raises(ValueError, match="format must be 'saved_model' or 'onnx', got 'tflite'"):
        export_encoder(make_encoder(), path, "tflite")
    with pytest.raises(ValueError, match="check must have one number of rows, at least 1"):
        export_encoder(make_encoder(), path, format, check=ROWS[:0])
    with pytest.raises(ValueError, match=r"check must have 3 rows, got \[4\]"):
        export_encoder(make_encoder(), path, format, check=ROWS, rows=3)
    with pytest.raises(ValueError, match="rows needs check"):
        export_encoder(make_encoder(), path, format, rows=3)
    if format == "onnx":
        half = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_bfloat16")])
        with pytest.raises(ValueError, match="must compute in float32 to be written as ONNX, got bfloat16"):
            export_encoder(half, path, format)
        monkeypatch.setattr(MODULE.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ModuleNotFoundError, match=r"needs onnx: pip install 'keras-contrast\[export\]'"):
            export_encoder(make_encoder(), path, format)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS, indirect=True)
def test_encoders_of_the_library(format, tmp_path):
    images = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    ids = RNG.integers(1, 9, (2, 6)).astype("int32")
    assert export_encoder(encoders.ConvNet((4, 8)), tmp_path / "conv", format, check=images) < 1e-5
    text = encoders.TextTransformer(9, dim=8, depth=1, heads=2, max_length=6)
    if format == "saved_model" and BACKEND == "tensorflow":
        # Keras traces inner models with floats, which a model of token ids refuses.
        with pytest.raises(ValueError, match="tensorflow cannot write this encoder .* KERAS_BACKEND=jax"):
            export_encoder(text, tmp_path / "text", format, check=ids)
        return
    if format == "saved_model":
        assert export_encoder(text, tmp_path / "text", format, check=ids) < 1e-5
        return
    with pytest.raises(ValueError, match=f"{BACKEND} cannot write this encoder as 'onnx'.* give rows"):
        export_encoder(text, tmp_path / "text", format, check=ids)
    if BACKEND == "torch":
        assert export_encoder(text, tmp_path / "text", format, check=ids, rows=2) < 1e-5
