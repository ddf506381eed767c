"""Small models of Keras 2 that hold every layer that is converted."""

import functools

import keras
import numpy as np
import tf_keras as keras2

from contrast.transfer import load_keras2
from tests.case import assert_close

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
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(x)
    x = L.Bidirectional(L.GRU(2, return_sequences=True, reset_after=False), merge_mode="sum", name="second")(
        x
    )
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
