import keras
import numpy as np
import pytest

from applications.face_naming.formats import NONAME, byte_ids
from applications.face_naming.names import NameEncoder
from contrast import backend
from tests.case import assert_close, check_layer, to_numpy

NAMES = ["Ada", "Alan Turing", "Zoë", NONAME]


def test_layer(tmp_path):
    check_layer(NameEncoder, {"dim": 8}, byte_ids(NAMES, 12), (4, 8), tmp_path)


def test_padding_never_changes_the_encoding():
    encoder = NameEncoder(8)
    outputs = to_numpy(encoder(byte_ids(NAMES, 12)))
    assert np.abs(outputs).max() > 0
    assert_close(encoder(byte_ids(NAMES, 30)), outputs, 1e-6)
    alone = np.concatenate([to_numpy(encoder(byte_ids([name], 12))) for name in NAMES])
    assert_close(alone, outputs, 1e-6)
    table = encoder.embedding.embeddings
    table.assign(np.concatenate([np.full((1, 8), 1e3), to_numpy(table)[1:]]))  # the row of the padding id
    assert_close(encoder(byte_ids(NAMES, 12)), outputs, 1e-6)
    for convolution in encoder.convolutions:
        convolution.bias.assign(np.ones(8))
    with_bias = to_numpy(encoder(byte_ids(NAMES, 12)))
    assert_close(encoder(byte_ids(NAMES, 30)), with_bias, 1e-6)


def test_order_of_letters_counts():
    ada, daa = to_numpy(NameEncoder(8)(byte_ids(["Ada", "daA"])))
    assert np.abs(ada - daa).max() > 1e-4


def test_noname_is_not_the_word_noname():
    encoder = NameEncoder(8)
    null, word = to_numpy(encoder(byte_ids([NONAME, "noname"])))
    assert np.abs(null - word).max() > 1e-4


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_row_of_padding_gives_zeros(policy):
    encoder = NameEncoder(8, dtype=policy)
    ids = np.concatenate([byte_ids(NAMES, 12), np.zeros((2, 12), "int32")])
    outputs = to_numpy(keras.ops.cast(encoder(ids), "float32"))
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(outputs[4:], 0)


def test_gradient_is_finite_with_padding_only():
    encoder = NameEncoder(4)
    ids = np.concatenate([byte_ids(["Ada"], 6), np.zeros((1, 6), "int32")])
    encoder(ids)
    weights = [to_numpy(variable) for variable in encoder.trainable_variables]

    def total(*values):
        outputs, _ = encoder.stateless_call(list(values), [], ids)
        return keras.ops.sum(keras.ops.square(outputs))

    _, gradients = backend.value_and_grad(total, *weights)
    for gradient in map(to_numpy, gradients):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0
    assert np.abs(to_numpy(gradients[0])[0]).max() == 0, "the padding id is not trained"


@pytest.mark.parametrize("dim", [0, -1, 2.5, "8"])
def test_wrong_dim_is_told(dim):
    with pytest.raises(ValueError, match="dim must be a positive integer"):
        NameEncoder(dim)
