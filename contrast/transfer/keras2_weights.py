"""Weights of Keras 2 into layers of Keras 3."""

import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from contrast.transfer.copy_weights import Allowance, assign, transfer
from contrast.transfer.keras2_files import Keras2Weights, read_weights
from contrast.transfer.keras2_layers import valid_name
from contrast.transfer.mapping import WeightMapping, listed
from contrast.transfer.report import TransferReport
from contrast.transfer.weight_names import weights_by_given_names

# Weights, and cells of recurrent layers, that go by other names in Keras 3 or carry automatic ones.
_OTHER_NAMES = [
    (r"(lstm|gru|simple_rnn)_cell(_\d+)?", "cell"),
    (r"(forward|backward)_.+", r"\1_layer"),
    (r"depthwise_kernel", "kernel"),
]


def copy_weights_from_keras2(
    source: Any,
    twin: keras.Layer,
    mapping: WeightMapping | None = None,
    *,
    allow_missing: Allowance = False,
    allow_misshaped: Allowance = False,
    allow_unused: Allowance = False,
) -> TransferReport:
    """Copies weights of Keras 2 by name into a Keras 3 model that you wrote: the way for all that
    `load_keras2` does not convert.

    Give the layers of the twin the names that they had in Keras 2 (slashes become underscores), or a mapping.
    Here every layer goes by its own name, automatic ones such as `dense_3` too, in both models. A layer
    within a layer, or a model within a model, adds a step: `encoder/dense/kernel`. Cells of recurrent layers
    are `cell`, the directions of `Bidirectional` are `forward_layer` and `backward_layer`; a layer in
    `TimeDistributed` adds no step.

    Args:
        source: a tf_keras model, also a subclassed one; or a `.h5` file written by `save` or `save_weights`
            of Keras 2; or a `.keras` file of Keras 2.
        twin: a built Keras 3 model or layer.
        mapping: `{name in the twin: name in the source}`, as in `contrast.transfer.copy_weights`.
        allow_missing, allow_misshaped, allow_unused: as in `contrast.transfer.copy_weights`.

    Returns:
        A `TransferReport`.

    Raises:
        TypeError: if source or twin is of another kind.
        FileNotFoundError: if the path does not exist.
        ValueError: if the file holds no weights of Keras 2, a model is not built, or, as in `copy_weights`,
            names or shapes do not fit.

    Example:

    ```python
    twin = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="embedding")])
    print(contrast.transfer.copy_weights_from_keras2("old_weights.h5", twin, {"embedding": "dense_7"}))
    ```
    """
    variables = {}
    for name, variable in weights_by_given_names(twin, "twin").items():
        variables[_canonical(name.split("/"))] = variable
    values: dict[str, np.ndarray] = {}
    for path, arrays in read_weights(source).layers.items():
        for name, value in arrays:
            steps = [valid_name(step) for step in path]
            name = _canonical([*steps, *_within(name, path[-1] if path else "")])
            if name in values:
                raise ValueError(
                    f"source: two weights are called {name!r}; rename the layers of the Keras 2 model."
                )
            values[name] = value
    return transfer(
        values,
        variables,
        twin,
        mapping,
        allow_missing=allow_missing,
        allow_misshaped=allow_misshaped,
        allow_unused=allow_unused,
    )


def fill(model: keras.Model, weights: Keras2Weights) -> None:
    """Gives a converted model its weights, layer by layer in the order of Keras 2.

    Raises:
        ValueError: if number, shapes or names of a layer's weights differ; it lists the layers, and the model
            is as it was.
    """
    layers = {tuple(valid_name(step) for step in path): arrays for path, arrays in weights.layers.items()}
    pairs, problems = [], []
    for path, layer in leaves(model):
        arrays = layers[path] if path in layers else _claimed(path, layers, model)
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if [value.shape for _, value in arrays] != shapes:
            given = ", ".join(f"{name} {value.shape}" for name, value in arrays) or "none"
            problems.append(
                f"layer {'/'.join(path)!r} ({type(layer).__name__}): Keras 3 has weights of shapes {shapes}, "
                f"Keras 2 has {given}"
            )
            continue
        pairs += zip(layer.weights, _in_order(layer.weights, arrays), strict=True)
    if problems:
        raise ValueError(listed("weights of Keras 2 do not fit their layers in Keras 3", problems))
    assign(model, pairs)


def leaves(model: keras.Model, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], keras.Layer]]:
    """`(path of names, layer)` of all layers, models within the model opened."""
    for layer in model.layers:
        if isinstance(layer, keras.Sequential) or type(layer).__name__ == "Functional":
            yield from leaves(layer, (*path, layer.name))
        elif not isinstance(layer, keras.layers.InputLayer):
            yield (*path, layer.name), layer


def _claimed(path, layers, model):
    """The weights of a layer of an inner model, one list in `.h5` files: found by the layer's name."""
    arrays = layers.get(path[:1], [])
    namesakes = [other for other, _ in leaves(model) if other[:1] == path[:1] and other[-1] == path[-1]]
    if len(namesakes) > 1 and arrays:
        raise ValueError(
            f"layer {'/'.join(path)!r}: the file tells no two layers of one name inside {path[0]!r} apart; "
            "open it with tf_keras.models.load_model and give the model as source."
        )
    return [(name, value) for name, value in arrays if path[-1] in map(valid_name, name.split("/")[:-1])]


def _in_order(weights, arrays):
    """Values in the order of the layer's weights: by name if the names are the same, else as they come."""
    names = [_canonical([name.split("/")[-1].split(":")[0]]) for name, _ in arrays]
    wanted = [weight.name for weight in weights]
    if len(set(names)) == len(names) and set(names) == set(wanted):
        by_name = dict(zip(names, (value for _, value in arrays), strict=True))
        return [by_name[name] for name in wanted]
    return [value for _, value in arrays]


def _within(name, layer):
    """The steps of a weight's name inside its layer, without the layer's name and all before it."""
    steps = name.split(":")[0].split("/")
    inside = layer.split("/")
    for i in range(len(steps) - len(inside)):
        if steps[i : i + len(inside)] == inside:
            return steps[i + len(inside) :]
    return steps


def _canonical(steps):
    canonical = []
    for step in steps:
        for pattern, name in _OTHER_NAMES:
            if match := re.fullmatch(pattern, step):
                step = match.expand(name)
        canonical.append(step)
    return "/".join(canonical)
