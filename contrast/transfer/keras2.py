"""Encoders of Keras 2 in Keras 3."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from contrast.transfer.keras2_files import Keras2Model, open_keras2, read_model
from contrast.transfer.keras2_graph import LayersNotConvertibleError, convert_model
from contrast.transfer.keras2_weights import fill, leaves
from contrast.transfer.mapping import listed

logger = logging.getLogger("contrast")

UNKNOWN_SIZE = 32  # of a dimension that the model leaves open, in random inputs
TOLERANCE = {"float32": 1e-4, "float64": 1e-4}  # of the largest output; halves are compared more loosely
LOOSE_TOLERANCE = 2e-2
ROUNDINGS = (
    10  # differences up to this many times what a rounding of the input does to the original are allowed
)


def load_keras2(
    source: Any,
    *,
    custom_objects: Mapping[str, Callable] | None = None,
    verify: bool = True,
    sample: Any = None,
) -> keras.Model:
    """Loads a sequential or functional model of Keras 2 as a Keras 3 model with equal outputs.

    Each layer is made again from its config by a table of what changed between the versions, called on the
    same inputs as before (several inputs and outputs, shared layers and models within models included), and
    given its weights. Then both models run on the same input; their outputs may differ by 1e-4 of the
    largest, or, in deep networks that amplify it, by ten times what one rounding of the input does.
    `MobileNetV2`, `EfficientNetB0` and `ResNet50` of `tf_keras.applications` are among the models that this
    covers, with or without their heads.

    Converted are the layers for dense, convolution, separable, transposed and depthwise convolution, pooling,
    padding, cropping, upsampling, merging, reshaping, normalisation, activation, dropout and noise,
    embedding, masking, attention (`Attention`, `AdditiveAttention`, `MultiHeadAttention`), recurrence
    (`SimpleRNN`, `LSTM`, `GRU`, with `Bidirectional` and `TimeDistributed`), `EinsumDense`, `Rescaling` and
    `Normalization`. Other built-in layers, unrolled recurrence, `Lambda`, raw TensorFlow operations
    (`x + 1`) and subclassed models are not: write the model for Keras 3 and use `copy_weights_from_keras2`.

    Layers keep their names, except that slashes become underscores. Optimizer and losses are left behind.
    An initializer that Keras 3 lacks becomes the default one: all weights are given anyway.

    Args:
        source: a tf_keras model; or the path of a `.h5` or `.keras` file that Keras 2 wrote.
        custom_objects: `{name in Keras 2: Keras 3 layer class or activation function}`. A class is made by
            its `from_config` and must create its weights in the same order and shapes.
        verify: compare the outputs with those of the original. A file is opened with tf_keras for that; if
            that fails, as with custom classes, a warning says that nothing was compared.
        sample: the input to compare on, in the structure of the model's inputs. By default random
            numbers, with 32 in place of sizes that the model leaves open; integers are 0 or 1.

    Returns:
        A Keras 3 model, not compiled.

    Raises:
        TypeError: if source is neither a tf_keras model nor a path, or a Keras 3 model.
        FileNotFoundError: if the path does not exist.
        ValueError: if the file is no model of Keras 2, the model is not built, layers cannot be converted
            (the message names each, and the reason), or the outputs differ.

    Example:

    ```python
    import tf_keras

    old = tf_keras.applications.MobileNetV2(include_top=False, pooling="avg")
    encoder = contrast.transfer.load_keras2(old)
    encoder = contrast.transfer.load_keras2("encoder.h5")
    ```
    """
    old = read_model(source)
    try:
        model = convert_model(old.class_name, old.config, custom_objects or {})
    except LayersNotConvertibleError as error:
        name = old.config.get("name")
        raise ValueError(
            listed(
                f"model {name!r} of Keras 2 has layers that are not converted (write the model for Keras 3 "
                "and use copy_weights_from_keras2)",
                error.problems,
            )
        ) from error
    if not model.built:
        raise ValueError(f"source {model.name!r} is not built: its config has no input shape.")
    fill(model, old.weights)
    if verify:
        _verify(old, model, sample)
    return model


def _verify(old: Keras2Model, model: keras.Model, sample: Any) -> None:
    original = old.source
    if isinstance(original, Path):
        try:
            original = open_keras2(original)
        except Exception as error:  # tf_keras raises many kinds, and none of them concerns the new model
            logger.warning(
                "%s was converted, but not compared: tf_keras cannot open it (%s).", original, error
            )
            return
    inputs = _random_inputs(model) if sample is None else sample
    expected, moved, actual = (
        [np.asarray(output, "float32") for output in keras.tree.flatten(network.predict(x, verbose=0))]
        for network, x in ((original, inputs), (original, _next_numbers(inputs)), (model, inputs))
    )
    for theirs, sensitive, ours in zip(expected, moved, actual, strict=True):
        if theirs.shape != ours.shape:
            raise ValueError(f"the output has shape {ours.shape} in Keras 3, {theirs.shape} in Keras 2.")
        tolerance = TOLERANCE.get(model.compute_dtype, LOOSE_TOLERANCE)
        tolerance = max(tolerance, ROUNDINGS * _difference(sensitive, theirs))
        difference = _difference(ours, theirs)
        if not difference <= tolerance:
            raise ValueError(
                f"the outputs of Keras 3 and Keras 2 differ by {difference:.1e} of the largest, more than "
                f"{tolerance:.0e}; verify=False loads the model all the same."
            )


def _difference(actual, expected):
    """The largest difference, as a part of the largest entry expected."""
    return np.abs(actual - expected).max(initial=0) / max(1e-7, np.abs(expected).max(initial=0))


def _next_numbers(inputs):
    """Floats moved to the next that their dtype holds: what deep networks make of that is no error."""

    def move(x):
        x = np.asarray(x)
        return np.nextafter(x, np.inf, dtype=x.dtype) if np.issubdtype(x.dtype, np.floating) else x

    return keras.tree.map_structure(move, inputs)


def _random_inputs(model):
    generator = np.random.default_rng(0)
    embeddings = [layer.input_dim for _, layer in leaves(model) if isinstance(layer, keras.layers.Embedding)]
    end = min([2, *embeddings])

    def random(tensor):
        shape = (2, *(size or UNKNOWN_SIZE for size in tensor.shape[1:]))
        if "float" in tensor.dtype and not embeddings:
            return generator.normal(size=shape).astype(tensor.dtype)
        return generator.integers(0, end, size=shape).astype(tensor.dtype)

    single = isinstance(model, keras.Sequential)
    return keras.tree.map_structure(random, model.inputs[0] if single else model.input)
