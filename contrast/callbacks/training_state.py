"""Everything that the next epoch of a training depends on, as arrays and plain values."""

import random
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras.src.random.seed_generator import global_seed_generator  # Keras offers no public way to read it

from contrast import backend


def collect(
    model: keras.Model, data: keras.utils.PyDataset | None = None
) -> tuple[dict[str, np.ndarray], dict]:
    """The state of a training between two epochs.

    Args:
        model: a compiled and built model.
        data: the `keras.utils.PyDataset` that it is trained on, or `None`.

    Returns:
        Arrays by name, and a description that JSON can hold: paths and shapes of the variables, epochs of
        the data, states of Python's and NumPy's global generators.
    """
    arrays, variables = {}, {}
    for group, members in _variables(model, data).items():
        variables[group] = [[_path(variable), list(variable.shape)] for variable in members]
        for index, variable in enumerate(members):
            arrays[f"{group}_{index}"] = _array(variable)
    arrays |= {f"backend_{name}": state for name, state in backend.random_state().items()}
    version, internal, gauss = random.getstate()
    numpy_state: Any = np.random.get_state()
    kind, keys, *rest = numpy_state
    description = {
        "backend": keras.config.backend(),
        "variables": variables,
        "epochs": [dataset.epoch for dataset in _datasets(data) if hasattr(dataset, "epoch")],
        "batches": None if data is None else data.num_batches,
        "python": [version, list(internal), gauss],
        "numpy": [kind, keys.tolist(), *rest],
    }
    return arrays, description


def put_back(
    model: keras.Model,
    data: keras.utils.PyDataset | None,
    arrays: Mapping[str, np.ndarray],
    description: dict,
) -> None:
    """Sets model, optimizer, data and global generators to a collected state.

    What the backend itself draws from is set only on the backend that the state is from.

    Raises:
        ValueError: if model, optimizer or data are others than those that the state was collected from; the
            message names the first difference. Nothing is changed then.
    """
    if data is not None and len(model.variables) < len(description["variables"]["model"]):
        # A model may be built as late as in its first step.
        model(keras.utils.unpack_x_y_sample_weight(data[0])[0], training=False)
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    groups = _variables(model, data)
    for group, members in groups.items():
        here = [[_path(variable), list(variable.shape)] for variable in members]
        _check_same(group, description["variables"][group], here)
    datasets = [dataset for dataset in _datasets(data) if hasattr(dataset, "epoch")]
    there, here = description["batches"], None if data is None else data.num_batches
    if there != here or len(datasets) != len(description["epochs"]):
        raise ValueError(f"it was made with data of {there} batches an epoch, got data of {here}.")
    for group, members in groups.items():
        for index, variable in enumerate(members):
            variable.assign(arrays[f"{group}_{index}"])
    for dataset, epoch in zip(datasets, description["epochs"], strict=True):
        dataset.epoch = epoch
    version, internal, gauss = description["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = description["numpy"]
    np.random.set_state((kind, np.array(keys, "uint32"), *rest))
    if description["backend"] == keras.config.backend():
        prefix = "backend_"
        backend.set_random_state(
            {name.removeprefix(prefix): state for name, state in arrays.items() if name.startswith(prefix)}
        )


def _variables(model, data):
    """Variables by what they belong to; `model.variables` has the seeds of all layers among them."""
    return {
        "model": model.variables,
        "optimizer": [] if model.optimizer is None else model.optimizer.variables,
        "data": [variable for dataset in _datasets(data) for variable in _seeds(dataset)],
        "keras": [global_seed_generator().state],
    }


def _datasets(data):
    """`data` and the data sets that it is made of."""
    if data is None:
        return []
    inner = [value for value in _attributes(data) if isinstance(value, keras.utils.PyDataset)]
    return [data, *(dataset for value in inner for dataset in _datasets(value))]


def _seeds(dataset):
    """Variables of the layers and seed generators that are attributes of a data set."""
    for value in _attributes(dataset):
        if isinstance(value, keras.Layer):
            yield from value.variables
        elif isinstance(value, keras.random.SeedGenerator):
            yield value.state


def _attributes(dataset):
    for value in vars(dataset).values():
        yield from value if isinstance(value, list | tuple) else [value]


def _array(variable):
    array = keras.ops.convert_to_numpy(variable)
    # NumPy's files do not know bfloat16, whose every value is a float32.
    return array.astype("float32") if array.dtype.kind == "V" else array


def _path(variable):
    """The path without the numbers that Keras adds when a process makes a second layer of a kind."""
    return re.sub(r"_\d+(?=[/_]|$)", "", variable.path)


def _check_same(group, there, here):
    for index in range(max(len(there), len(here))):
        texts = [
            f"{side[index][0]!r} of shape {tuple(side[index][1])}" if index < len(side) else "missing"
            for side in (there, here)
        ]
        if texts[0] != texts[1]:
            raise ValueError(f"variable {index} of the {group} is {texts[0]} there and {texts[1]} here.")
