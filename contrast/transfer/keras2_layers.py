"""Layers of Keras 2, made again in Keras 3 from their configs."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from contrast.typing import Tensor

MODELS = ("Functional", "Model", "Sequential")
COVERED = frozenset(
    [
        *("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"),
        *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"),
        *("AdditiveAttention", "Attention", "MultiHeadAttention"),
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *("BatchNormalization", "GroupNormalization", "LayerNormalization", "UnitNormalization"),
        *("Bidirectional", "GRU", "LSTM", "SimpleRNN", "TimeDistributed"),
        *("Dense", "EinsumDense", "Embedding", "Masking", "Normalization", "Rescaling"),
        *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
        *("Flatten", "Permute", "RepeatVector", "Reshape"),
    ]
) | {
    name.format(dimension)
    for dimension in ("1D", "2D", "3D")
    for name in (
        *("AveragePooling{}", "GlobalAveragePooling{}", "GlobalMaxPooling{}", "MaxPooling{}"),
        *("Conv{}", "Conv{}Transpose", "Cropping{}", "SpatialDropout{}", "UpSampling{}", "ZeroPadding{}"),
    )
}
ALIASES = {
    "BatchNormalizationV1": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
RAW_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty")
RENAMED = {("LeakyReLU", "alpha"): "negative_slope"}

# Options that Keras 3 lacks. These say nothing about the outputs:
WITHOUT_EFFECT = {
    "fused",
    "implementation",
    "input_length",
    "input_dtype",
    "key_shape",
    "query_shape",
    "value_shape",
}
# ... and these are what Keras 3 does with the given value only:
ONLY_WITH = {
    "causal": False,
    "groups": 1,
    "noise_shape": None,
    "ragged": False,
    "renorm": False,
    "softmax_robust_masking": False,
    "sparse": False,
    "stateful": False,
    "time_major": False,
    "virtual_batch_size": None,
    "zero_output_for_mask": False,
}
OF_EVERY_LAYER = {"activity_regularizer", "dtype", "name"}


@keras.saving.register_keras_serializable(package="contrast")
def hard_sigmoid_of_keras2(x: Tensor) -> Tensor:
    """`clip(0.2 x + 0.5, 0, 1)`; Keras 3 calls `clip(x / 6 + 0.5, 0, 1)` by the name of hard sigmoid."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


class NotConvertibleError(ValueError):
    """A layer of Keras 2 that has no counterpart here; the message is the reason."""


def convert_layer(
    class_name: str, config: Mapping[str, Any], custom_objects: Mapping[str, Any]
) -> keras.Layer:
    """The Keras 3 layer for a class name and config of Keras 2, not yet built.

    Args:
        class_name: name of the Keras 2 class.
        config: what its `get_config` returned.
        custom_objects: `{name: Keras 3 layer class or activation function}`, looked at first.

    Raises:
        NotConvertibleError: if there is none; the message gives the reason, without the name of the layer.
    """
    config = {key: value for key, value in config.items() if key != "batch_input_shape"}
    config["name"] = valid_name(config["name"])
    if "dtype" in config:
        config["dtype"] = _policy(config["dtype"])
    if class_name in custom_objects:
        return custom_objects[class_name].from_config(config)
    layer_class = _layer_class(class_name)
    trainable = config.pop("trainable", True)
    config = _adapted(layer_class, config, custom_objects)
    try:
        layer = layer_class(**config)
    except (TypeError, ValueError) as error:
        raise NotConvertibleError(f"Keras 3 does not accept its config: {error}") from error
    layer.trainable = trainable
    return layer


def valid_name(name: str) -> str:
    """The name that a layer has in Keras 3, which takes no slashes."""
    return name.replace("/", "_")


def _layer_class(class_name):
    if class_name in RAW_OPERATIONS or class_name.startswith("TensorFlowOp"):
        raise NotConvertibleError("a raw TensorFlow operation has no Keras 3 layer")
    if class_name == "Lambda":
        raise NotConvertibleError("a Lambda holds Python code that may call TensorFlow and is not converted")
    if class_name.startswith("CuDNN"):
        raise NotConvertibleError("layers for CuDNN only keep their weights in a layout of their own")
    class_name = ALIASES.get(class_name, class_name)
    if class_name not in COVERED:
        raise NotConvertibleError(
            "this class is not among those that are converted; if it is yours, write it for Keras 3 and "
            f"give custom_objects={{{class_name!r}: <class>}}"
        )
    return getattr(keras.layers, class_name)


def _adapted(layer_class, config, custom_objects):
    known = {*inspect.signature(layer_class.__init__).parameters, *OF_EVERY_LAYER} - {"self", "kwargs"}
    adapted = {}
    for key, value in config.items():
        key = RENAMED.get((layer_class.__name__, key), key)
        if key not in known:
            _check_may_go(key, value)
            continue
        if key == "unroll" and value:
            raise NotConvertibleError("unroll=True treats masked steps differently in Keras 3")
        if key in ("layer", "backward_layer"):
            adapted[key] = value and _inner(value, custom_objects)
        elif key.endswith("initializer"):
            _keep_initializer(adapted, key, value)
        elif key.endswith(("regularizer", "constraint")):
            adapted[key] = _regularizer_or_constraint(key, value)
        elif key.endswith("activation"):
            adapted[key] = _activation(value, custom_objects)
        elif key == "axis" and isinstance(value, list | tuple) and len(value) == 1:
            adapted[key] = value[0]
        else:
            adapted[key] = value
    return adapted


def _check_may_go(key, value):
    if key in ONLY_WITH and value != ONLY_WITH[key]:
        raise NotConvertibleError(f"{key}={value!r} has no counterpart in Keras 3")
    # A depthwise convolution of Keras 2 lists the options of a plain one, and does not use them.
    if key not in WITHOUT_EFFECT | set(ONLY_WITH) and not key.startswith("kernel_"):
        raise NotConvertibleError(f"its option {key}={value!r} is not known to Keras 3")


def _inner(serialized, custom_objects):
    if serialized["class_name"] in MODELS:
        raise NotConvertibleError("a model inside a wrapper is not converted")
    try:
        return convert_layer(serialized["class_name"], serialized["config"], custom_objects)
    except NotConvertibleError as error:
        raise NotConvertibleError(f"its inner {serialized['class_name']}: {error}") from error


def _keep_initializer(adapted, key, value):
    """Weights are overwritten, so that an initializer unknown to Keras 3 may be left at its default."""
    try:
        adapted[key] = _builtin(keras.initializers, value)
    except (AttributeError, TypeError, ValueError):
        adapted.pop(key, None)


def _regularizer_or_constraint(key, value):
    module = keras.regularizers if key.endswith("regularizer") else keras.constraints
    try:
        return _builtin(module, value)
    except (AttributeError, TypeError, ValueError) as error:
        raise NotConvertibleError(f"{key}={value!r} is not among those of Keras 3") from error


def _builtin(module, value):
    if not isinstance(value, Mapping):
        return module.get(value)
    made = getattr(module, value["class_name"])
    known = inspect.signature(made.__init__).parameters
    return made(**{key: v for key, v in (value["config"] or {}).items() if key in known})


def _activation(value, custom_objects):
    if isinstance(value, Mapping):  # the newer format of functions
        value = value["config"] if isinstance(value["config"], str) else value["class_name"]
    if value in custom_objects:
        return custom_objects[value]
    if value == "hard_sigmoid":
        return hard_sigmoid_of_keras2
    try:
        return keras.activations.get(value)
    except ValueError as error:
        raise NotConvertibleError(
            f"activation {value!r} is not among those of Keras 3; give "
            f"custom_objects={{{value!r}: <function>}}"
        ) from error


def _policy(dtype):
    """The name of a dtype policy, from any of the formats that Keras 2 wrote."""
    return dtype["config"]["name"] if isinstance(dtype, Mapping) else dtype
