"""Encoding in chunks: the same values and gradients, the same masks in both passes, less memory."""

import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.layers import ChunkedEncoder, encode_in_chunks
from tests.case import assert_close, check_layer, to_numpy

X = np.random.default_rng(0).normal(size=(10, 6)).astype("float32")


def perceptron(*middle, width=8):
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(width, "gelu"), *middle, keras.layers.Dense(4)]
    )


def all_pairs(z):
    """A loss that no chunk can compute alone."""
    return ops.mean(ops.square(ops.matmul(z, ops.transpose(z)) - 1))


def value_and_gradients(encode, encoder, x=X):
    """The loss of all pairs, with its gradients for the weights and for the inputs."""
    weights = encoder.trainable_variables

    def function(*values):
        with keras.StatelessScope(list(zip(weights, values[:-1], strict=True))):
            return all_pairs(encode(values[-1]))

    return backend.value_and_grad(function, *[to_numpy(weight) for weight in weights], x)


def assert_same(actual, expected):
    assert_close(actual[0], to_numpy(expected[0]), 1e-5)
    for ours, theirs in zip(actual[1], expected[1], strict=True):
        assert_close(ours, to_numpy(theirs), 1e-5)


@pytest.mark.parametrize("chunk_size", [1, 4, 10, 99])
def test_values_and_gradients_are_those_of_the_whole_batch(chunk_size):
    encoder = perceptron(keras.layers.LayerNormalization())
    whole = value_and_gradients(encoder, encoder)
    chunks = value_and_gradients(lambda x: encode_in_chunks(encoder, x, chunk_size), encoder)
    assert_same(chunks, whole)
    assert max(np.abs(to_numpy(gradient)).max() for gradient in whole[1]) > 1e-3


def by_hand(encoder, chunk_size, x):
    """The same chunks in one graph that keeps everything."""
    chunks = -(-len(X) // chunk_size)
    rows = np.arange(chunks * -(-len(X) // chunks)) % len(X)
    parts = [encoder(ops.take(x, rows[c::chunks], axis=0), training=True) for c in range(chunks)]
    return ops.reshape(ops.stack(parts, axis=1), (-1, 4))[: len(X)]


# An unseeded Dropout on PyTorch draws from PyTorch's own generator.
@pytest.mark.parametrize("seed", [3, None] if keras.backend.backend() == "torch" else [3])
def test_dropout_draws_the_same_masks_again(seed):
    encoder = perceptron(keras.layers.Dropout(0.5, seed=seed))
    generator = encoder.layers[1].seed_generator
    start = to_numpy(generator.state)

    def run(encode):
        generator.state.assign(start)
        keras.utils.set_random_seed(7)
        return value_and_gradients(encode, encoder)

    kept = run(lambda x: by_hand(encoder, 4, x))
    again = run(lambda x: encode_in_chunks(encoder, x, 4, training=True))
    assert_same(again, kept)
    without = run(lambda x: encode_in_chunks(encoder, x, 4))
    assert abs(float(to_numpy(without[0])) - float(to_numpy(kept[0]))) > 1e-3


def test_dropout_goes_on_from_chunk_to_chunk_and_from_call_to_call():
    encoder = perceptron(keras.layers.Dropout(0.5, seed=3))
    same = np.tile(X[:1], (6, 1))
    first, second = (to_numpy(encode_in_chunks(encoder, same, 2, training=True)) for _ in range(2))
    assert len(np.unique(first, axis=0)) > 3  # 3 chunks of 2 rows, each row with a mask of its own
    assert not np.allclose(first, second)
    assert to_numpy(encoder.layers[1].seed_generator.state)[1] == 6


def test_batch_normalisation_is_refused_by_name_unless_it_is_frozen():
    encoder = perceptron(keras.layers.BatchNormalization(name="norm_of_rows"))
    for chunk_size in (4, 99):  # whatever the last batch of an epoch is
        with pytest.raises(ValueError, match=r"'norm_of_rows' \(BatchNormalization\).*GroupNorm"):
            encode_in_chunks(encoder, X, chunk_size, training=True)
    assert_close(encode_in_chunks(encoder, X, 4), to_numpy(encoder(X, training=False)))
    encoder.layers[1].trainable = False
    moving = to_numpy(encoder.layers[1].moving_mean)
    whole = value_and_gradients(lambda x: encoder(x, training=True), encoder)
    assert_same(value_and_gradients(lambda x: encode_in_chunks(encoder, x, 4, training=True), encoder), whole)
    np.testing.assert_array_equal(to_numpy(encoder.layers[1].moving_mean), moving)


class Noise(keras.layers.Layer):
    """Draws from the generator that all of Keras shares."""

    def call(self, x):
        return x + keras.random.normal(ops.shape(x))

    def compute_output_shape(self, shape):
        return shape


class Pooled(keras.layers.Layer):
    """Loses the rows."""

    def call(self, x):
        return ops.mean(x, axis=0)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.ActivityRegularization(l2=1.0), "adds a loss"),
        (Noise(), "global random generator|SeedGenerator"),
        (Pooled(), r"a row for each of its inputs, got shape \(4,\) for 5 rows"),
    ],
)
def test_what_a_chunk_cannot_do_is_refused(layer, message):
    encoder = keras.Sequential([keras.Input((4,)), layer])
    with pytest.raises(ValueError, match=message):
        backend.compiled(lambda x: encode_in_chunks(encoder, x, 5, training=True), lambda: encoder.variables)(
            X[:, :4]
        )


def test_bad_arguments():
    encoder = perceptron()
    for size in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="at least 1, got"):
            encode_in_chunks(encoder, X, size)
    with pytest.raises(ValueError, match="has no weights yet"):
        encode_in_chunks(keras.Sequential([keras.layers.Dense(2)]), X, 4)
    with pytest.raises(ValueError, match="equally many rows"):
        encode_in_chunks(encoder, (X, X[:4]), 4)
    with pytest.raises(ValueError, match="must be tensors"):
        encode_in_chunks(encoder, np.float32(1), 4)
    with pytest.raises(ValueError, match="carry a Keras mask"):
        encode_in_chunks(encoder, keras.layers.Embedding(3, 6, mask_zero=True)(np.zeros((8, 5), "int32")), 4)


def test_nested_inputs_and_outputs_and_sparse_gradients():
    ids, weight = keras.Input((5,), dtype="int32", name="ids"), keras.Input((5,), name="weight")
    embedded = keras.layers.Embedding(7, 3)(ids) * ops.expand_dims(weight, -1)
    mean = ops.mean(embedded, axis=1)
    encoder = keras.Model({"ids": ids, "weight": weight}, {"mean": mean, "first": embedded[:, 0], "ids": ids})
    generator = np.random.default_rng(1)
    numbers, values = generator.integers(7, size=(8, 5)), generator.random((8, 5)).astype("float32")
    inputs = {"ids": numbers.astype("int32"), "weight": values}
    outputs, expected = encode_in_chunks(encoder, inputs, 3), encoder(inputs)
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        assert_close(outputs[key], to_numpy(value))

    def gradients(encode):
        def joined(weight):
            z = encode({"ids": ops.convert_to_tensor(inputs["ids"]), "weight": weight})
            return ops.concatenate([z["mean"], z["first"]], axis=-1)

        return value_and_gradients(joined, encoder, values)

    assert_same(gradients(lambda x: encode_in_chunks(encoder, x, 3)), gradients(encoder))


def test_layer(tmp_path):
    encoder = keras.Sequential([keras.layers.Dense(5, "gelu"), keras.layers.Dense(4)])
    arguments = {"encoder": encoder, "chunk_size": 4}
    check_layer(ChunkedEncoder, arguments, X, (10, 4), tmp_path, precision=False)


@pytest.mark.once
def test_mixed_precision_reads_full_weights():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(4, dtype="float32"), keras.layers.Dense(4)]
        )
        outer = ChunkedEncoder(encoder, 4)
        whole = encoder(X)
        chunks = outer(X)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(chunks.dtype) == "bfloat16"
    np.testing.assert_array_equal(
        *(to_numpy(ops.cast(z, "float32")) for z in (chunks, whole)), "a weight was rounded on the way"
    )


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="counts what PyTorch keeps for backward")
def test_memory_is_that_of_the_outputs_on_torch():
    import torch

    encoder = perceptron(*[keras.layers.Dense(64, "gelu") for _ in range(6)], width=64)
    x, kept = np.ones((512, 6), "float32"), {}

    def count(name):
        def pack(tensor):
            if not isinstance(tensor, torch.nn.Parameter):
                kept[name] = kept.get(name, 0) + tensor.nbytes
            return tensor

        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)

    with count("whole"):
        encoder(x)
    with count("chunks"):
        encode_in_chunks(encoder, x, 64)
    assert kept.get("chunks", 0) < kept["whole"] / 8


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="asks XLA for what it reserves")
def test_memory_is_that_of_a_chunk_on_jax():
    import jax

    encoder = perceptron(*[keras.layers.Dense(64, "gelu") for _ in range(6)], width=64)
    weights = encoder.trainable_variables

    def reserved(encode):
        def loss(values, x):
            with keras.StatelessScope(list(zip(weights, values, strict=True))):
                return ops.mean(ops.square(encode(x)))

        values = [weight.value for weight in weights]
        compiled = jax.jit(jax.grad(loss)).lower(values, np.ones((4096, 6), "float32")).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert reserved(lambda x: encode_in_chunks(encoder, x, 128)) < reserved(encoder) / 8
