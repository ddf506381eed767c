"""Names of weights that do not depend on how many layers were made before."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras


def weight_names(model: keras.Layer) -> dict[str, tuple[int, ...]]:
    """The weights of a model or layer: the names that `copy_weights` knows them by, and their shapes.

    A name is the way from the model down to the weight, without the model's own name: `encoder/dense/kernel`.
    A layer on that way is called

    - by its own name, if somebody chose it: `keras.layers.Dense(4, name="projection")` is `projection`;
    - else, if its parent holds it in an attribute, or in a list or dict that is a public attribute, by that:
      `self.encoder = ResNet()` is `encoder`, the second of `self.blocks = [Block(), Block()]` is `blocks/1`;
    - else, as in functional and sequential models, by its class and its number among the layers of that
      class in the same model: `dense`, `dense_1`, ...

    Keras numbers unnamed layers through the whole process, so that the same code gives `dense_7` here and
    `dense_12` there; the names above stay the same. A chosen name that looks like an automatic one (`dense_5`
    on a `Dense` layer) is taken for automatic.

    Non-trainable weights, such as the moving statistics of batch normalisation, are included; random seeds,
    metrics and the optimizer's state are not. A layer that is used in several places has the name of the
    first.

    Args:
        model: a model or layer that is built.

    Returns:
        `{name: shape}` in the order of the layers.

    Raises:
        TypeError: if `model` is not a Keras 3 layer.
        ValueError: if it is not built.

    Example:

    >>> keras.layers.Dense(1).name != keras.layers.Dense(1).name
    True
    >>> layers = [keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2, name="projection")]
    >>> for name, shape in contrast.transfer.weight_names(keras.Sequential(layers)).items():
    ...     print(name, shape)
    dense/kernel (8, 4)
    dense/bias (4,)
    projection/kernel (4, 2)
    projection/bias (2,)
    """
    return {name: tuple(weight.shape) for name, weight in named_weights(model, "model").items()}


def named_weights(model: keras.Layer, argument: str) -> dict[str, keras.Variable]:
    """`{stable name: variable}`; `argument` is what errors call the model."""
    return _walk(model, argument, stable_names)


def weights_by_given_names(model: keras.Layer, argument: str) -> dict[str, keras.Variable]:
    """`{name: variable}` where each layer goes by its own name, automatic or not."""
    return _walk(model, argument, given_names)


def _walk(model, argument, names_of_children):
    if not isinstance(model, keras.Layer):
        raise TypeError(f"{argument} must be a Keras 3 model or layer, got {type(model).__name__}.")
    if not model.built or not model.weights:
        raise ValueError(
            f"{argument} {model.name!r} has no weights yet; call it once on data, or {argument}.build(...)."
        )
    weights: dict[str, keras.Variable] = {}
    seen: set[int] = set()

    def visit(layer, prefix):
        own = layer._trainable_variables + layer._non_trainable_variables
        variables = [variable for variable in own if id(variable) not in seen]
        for name, variable in zip(_variable_names(variables), variables, strict=True):
            seen.add(id(variable))
            weights[_free(prefix + name, weights)] = variable
        siblings: set[str] = set()
        for name, child in zip(names_of_children(layer), layer._layers, strict=True):
            if id(child) not in seen:
                seen.add(id(child))
                name = _free(name, siblings)
                siblings.add(name)
                visit(child, f"{prefix}{name}/" if name else prefix)

    visit(model, "")
    return weights


def stable_names(layer: keras.Layer) -> list[str]:
    """One name for each layer that `layer` holds, by the rules of `weight_names`."""
    attributes = _attributes(layer)
    counts: dict[str, int] = {}
    names = []
    for child in layer._layers:
        snake = snake_case(type(child).__name__)
        number = counts.get(snake, 0)
        counts[snake] = number + 1
        # The two directions of `Bidirectional` carry the automatic name of the layer that they wrap.
        if not re.fullmatch(rf"((forward|backward)_)?{snake}(_\d+)?", child.name):
            names.append(child.name)
        elif id(child) in attributes:
            names.append(attributes[id(child)])
        else:
            names.append(f"{snake}_{number}" if number else snake)
    return names


def given_names(layer: keras.Layer) -> list[str]:
    """The name of each layer that `layer` holds; empty in `TimeDistributed`, as in Keras 2."""
    return ["" if isinstance(layer, keras.layers.TimeDistributed) else child.name for child in layer._layers]


def snake_case(name: str) -> str:
    """The beginning of the automatic names of a class: `MaxPooling2D` gives `max_pooling2d`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _attributes(layer: keras.Layer) -> dict[int, str]:
    """The attribute that holds each child, by its id; the child itself goes before lists of children."""
    # PyTorch keeps children in a dict of its own.
    held = {**vars(layer).get("_modules", {}), **vars(layer)}
    held.pop("_functional", None)
    attributes: dict[int, str] = {}
    for is_layer in (True, False):
        for attribute, value in held.items():
            # Lists in private attributes are Keras's own, of all layers among others.
            if is_layer == isinstance(value, keras.Layer) and (is_layer or not attribute.startswith("_")):
                for name, child in _layers_in(value, attribute.lstrip("_")):
                    attributes.setdefault(id(child), name)
    return attributes


def _layers_in(value: Any, name: str) -> Iterator[tuple[str, keras.Layer]]:
    if isinstance(value, keras.Layer):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, element in enumerate(value):
            yield from _layers_in(element, f"{name}/{i}")
    elif isinstance(value, Mapping):
        for key, element in value.items():
            yield from _layers_in(element, f"{name}/{key}")


def _variable_names(variables):
    """Variables without a chosen name are numbered within their layer, not through the process."""
    number = 0
    for variable in variables:
        if re.fullmatch(r"variable(_\d+)?", variable.name):
            yield f"variable_{number}" if number else "variable"
            number += 1
        else:
            yield variable.name


def _free(name, taken):
    if name not in taken:
        return name
    return next(free for i in range(1, len(taken) + 2) if (free := f"{name}_{i}") not in taken)
