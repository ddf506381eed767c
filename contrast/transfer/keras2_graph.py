"""Sequential and functional models of Keras 2, made again in Keras 3 from their configs."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from contrast.transfer.keras2_layers import MODELS, NotConvertibleError, convert_layer, valid_name

CONSTANT = "_CONSTANT_VALUE"


class LayersNotConvertibleError(ValueError):
    """Some layers of a model cannot be converted; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n  ".join(problems))


def convert_model(
    class_name: str, config: Mapping[str, Any], custom_objects: Mapping[str, Callable]
) -> keras.Model:
    """The Keras 3 model, with fresh weights, for a class name and config of Keras 2.

    Raises:
        LayersNotConvertibleError: if there are layers without counterpart; it names all of them.
    """
    layers = {}
    problems = []
    for entry in config["layers"]:
        name = _name(entry)
        try:
            layers[name] = _convert(entry["class_name"], entry["config"], custom_objects)
        except LayersNotConvertibleError as error:
            problems += [f"in {name!r}: {line}" for line in error.problems]
        except NotConvertibleError as error:
            problems.append(f"layer {name!r} ({entry['class_name']}): {error}.")
    if problems:
        raise LayersNotConvertibleError(problems)
    model = (_sequential if class_name == "Sequential" else _functional)(config, layers)
    if not config.get("trainable", True):
        model.trainable = False
    return model


def _convert(class_name, config, custom_objects):
    if class_name == "InputLayer":
        return _input(config)
    if class_name in MODELS and class_name not in custom_objects:
        return convert_model(class_name, config, custom_objects)
    return convert_layer(class_name, config, custom_objects)


def _input(config):
    if config.get("sparse") or config.get("ragged"):
        raise NotConvertibleError("sparse and ragged inputs are not converted")
    shape = config.get("batch_input_shape") or config["batch_shape"]
    return keras.Input(batch_shape=tuple(shape), dtype=config["dtype"], name=valid_name(config["name"]))


def _sequential(config, layers):
    stack = list(layers.values())
    if not keras.backend.is_keras_tensor(stack[0]):
        first = config["layers"][0]["config"]
        shape = first.get("batch_input_shape") or config.get("build_input_shape")
        if shape is not None:
            integers = isinstance(stack[0], keras.layers.Embedding)
            stack.insert(0, keras.Input(batch_shape=tuple(shape), dtype="int32" if integers else None))
    return keras.Sequential(stack, name=valid_name(config["name"]))


def _functional(config, layers):
    graph = _Graph(config, layers)
    graph.call_layers(config["layers"])
    return keras.Model(
        inputs=_single(graph.tensors(config["input_layers"])),
        outputs=_single(graph.tensors(config["output_layers"])),
        name=valid_name(config["name"]),
    )


class _Graph:
    """Calls layers on each other's outputs as the inbound nodes of a config say."""

    def __init__(self, config, layers):
        self.layers = layers
        # {(layer, number of the call): flat list of its outputs}
        self.outputs = {(name, 0): [x] for name, x in layers.items() if keras.backend.is_keras_tensor(x)}
        self.first_call = self._first_calls(config)

    def _first_calls(self, config):
        """Calls of nested models count from 1: the number 0 is their own making. Versions differ in it."""
        highest = {}
        structures = [config["output_layers"], *(entry["inbound_nodes"] for entry in config["layers"])]
        for reference in self._references(structures):
            highest[reference[0]] = max(reference[1], highest.get(reference[0], 0))
        calls = {_name(entry): len(entry["inbound_nodes"]) for entry in config["layers"]}
        return {name: highest.get(name, 0) + 1 - number if number else 0 for name, number in calls.items()}

    def call_layers(self, entries):
        waiting = [(entry, i) for entry in entries for i in range(len(entry["inbound_nodes"]))]
        while waiting:
            later = [(entry, i) for entry, i in waiting if not self._call(entry, i)]
            if len(later) == len(waiting):
                raise LayersNotConvertibleError(
                    [
                        f"layer {_name(entry)!r}: its inputs are not outputs of this model."
                        for entry, _ in later
                    ]
                )
            waiting = later

    def _call(self, entry, number):
        """Makes the call of this number, if its inputs are there and it is the layer's turn."""
        name, node = _name(entry), entry["inbound_nodes"][number]
        index = number + self.first_call[name]
        ready = number == 0 or (name, index - 1) in self.outputs
        if not ready or any(tuple(r[:2]) not in self.outputs for r in self._references(node)):
            return False
        problem = f"layer {name!r} ({entry['class_name']}): "
        if any(reference[0] == CONSTANT for reference in _leaves(node, _is_constant)):
            raise LayersNotConvertibleError(
                [f"{problem}a constant tensor among its inputs is not converted."]
            )
        options = next((r[3] for r in self._references(node) if len(r) == 4), {})
        options = {key: self.tensors(value) for key, value in options.items() if value is not None}
        inputs, layer = _single(self.tensors(node)), self.layers[name]
        if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional) and isinstance(inputs, list):
            inputs, options["initial_state"] = inputs[0], inputs[1:]
        unknown = set(options) - set(inspect.signature(layer.call).parameters)
        if unknown:
            raise LayersNotConvertibleError(
                [f"{problem}it is called with {sorted(unknown)}, unknown to Keras 3."]
            )
        try:
            self.outputs[name, index] = keras.tree.flatten(layer(inputs, **options))
        except (TypeError, ValueError) as error:
            raise LayersNotConvertibleError([f"{problem}it cannot be called in Keras 3: {error}"]) from error
        return True

    def tensors(self, structure):
        """The structure with tensors in place of references to outputs of layers."""
        if self._is_reference(structure):
            name, index, position = structure[:3]
            return self.outputs[name, index][position]
        if isinstance(structure, list | tuple):
            return [self.tensors(element) for element in structure]
        if isinstance(structure, Mapping):
            return {key: self.tensors(element) for key, element in structure.items()}
        return structure

    def _references(self, structure):
        """All references to outputs of layers, those in the options of calls among them."""
        for reference in _leaves(structure, self._is_reference):
            yield reference
            if len(reference) == 4:
                yield from self._references(reference[3])

    def _is_reference(self, value):
        return (
            isinstance(value, list | tuple)
            and len(value) in (3, 4)
            and isinstance(value[0], str)
            and value[0] in self.layers
            and isinstance(value[1], int)
            and isinstance(value[2], int)
        )


def _leaves(structure, is_leaf):
    if is_leaf(structure):
        yield structure
    elif isinstance(structure, list | tuple | Mapping):
        for element in structure.values() if isinstance(structure, Mapping) else structure:
            yield from _leaves(element, is_leaf)


def _is_constant(value):
    return isinstance(value, list | tuple) and len(value) > 2 and value[0] == CONSTANT


def _name(entry):
    return entry["config"].get("name") or entry["name"]


def _single(structure):
    return structure[0] if isinstance(structure, list) and len(structure) == 1 else structure
