"""Reads models and weights of Keras 2: objects of tf_keras, `.h5` and `.keras` files."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from contrast.transfer.keras2_layers import MODELS

NamedArrays = list[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Keras2Weights:
    """Weights by layer.

    Attributes:
        layers: `{path of layer names: [(name of the weight, value), ...]}` in the order of Keras 2. From a
            `.h5` file a model within the model is one entry, with the weights of all its layers.
    """

    layers: dict[tuple[str, ...], NamedArrays]


@dataclass(frozen=True)
class Keras2Model:
    """A model of Keras 2, taken apart.

    Attributes:
        class_name, config: of the model.
        weights: by layer.
        source: the tf_keras model, or the path of the file.
    """

    class_name: str
    config: dict[str, Any]
    weights: Keras2Weights
    source: Any


def read_model(source: Any) -> Keras2Model:
    """Takes apart a tf_keras model, or a `.h5` or `.keras` file of Keras 2."""
    if isinstance(source, str | Path):
        path = existing(source)
        if zipfile.is_zipfile(path):
            return read_model(open_keras2(path))
        return _read_hdf5(path)
    _check_model(source)
    return Keras2Model(type(source).__name__, _config(source), weights_of(source), source)


def read_weights(source: Any) -> Keras2Weights:
    """The weights of a tf_keras model, of a file of one, or of a file that its `save_weights` wrote."""
    if not isinstance(source, str | Path):
        _check_model(source)
        return weights_of(source)
    path = existing(source)
    if zipfile.is_zipfile(path):
        return weights_of(open_keras2(path))
    with _hdf5(path) as file:
        group = file.get("model_weights", file)
        if not _names(group, "layer_names"):
            raise ValueError(
                f"source: {str(path)!r} holds no weights in the layout of Keras 2's .h5 files; for files of "
                "Keras 3, or a .weights.h5 file of tf_keras, load it with the model that wrote it and give "
                "the model as source."
            )
        return _weights_in(group)


def open_keras2(path: Path) -> Any:
    """The tf_keras model in a file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "metadata.json" not in archive.namelist():
                raise ValueError(f"source: {str(path)!r} is not a .keras file.")
            version = json.loads(archive.read("metadata.json")).get("keras_version", "")
        _check_version(path, version)
    import tf_keras

    return tf_keras.models.load_model(path, compile=False)


def existing(path: str | Path) -> Path:
    """The path, which is a file."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"source: {str(path)!r} is a folder; if it is a SavedModel, open it with "
            "tf_keras.models.load_model and give the model as source."
        )
    if not path.exists():
        raise FileNotFoundError(f"source: there is no file {str(path)!r}.")
    return path


def weights_of(model: Any) -> Keras2Weights:
    """The weights of a tf_keras model by layer, models within it opened."""
    return Keras2Weights(dict(_layers_of(model, ())))


def _layers_of(model: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], NamedArrays]]:
    seen: set[int] = set()
    for layer in model.layers:
        if type(layer).__name__ in MODELS:
            yield from _layers_of(layer, (*path, layer.name))
        else:
            yield (*path, layer.name), _named_arrays(layer.weights)
        seen |= {id(weight) for weight in layer.weights}
    own = [weight for weight in model.weights if id(weight) not in seen]
    if own:
        yield path, _named_arrays(own)


def _named_arrays(weights):
    return [(weight.name, np.array(weight.numpy())) for weight in weights]


def _check_model(source):
    if isinstance(source, keras.Layer):
        raise TypeError(
            "source must be a model of Keras 2, got one of Keras 3; for it there is copy_weights."
        )
    if not any(base.__module__.startswith("tf_keras") for base in type(source).__mro__) or not hasattr(
        source, "layers"
    ):
        raise TypeError(f"source must be a tf_keras model or a path, got {type(source).__name__}.")
    if not source.built:
        raise ValueError(f"source {source.name!r} is not built; call it once on data, or source.build(...).")


def _config(model):
    if type(model).__name__ not in MODELS:
        raise ValueError(
            f"source {model.name!r} is a subclassed model ({type(model).__name__}), whose computation is "
            "Python code; write the model for Keras 3 and use copy_weights_from_keras2."
        )
    # Through JSON, as in a file: tuples, NumPy numbers and wrapped containers become plain ones.
    return json.loads(model.to_json())["config"]


def _hdf5(path):
    import h5py

    if not h5py.is_hdf5(path):
        raise ValueError(f"source: {str(path)!r} is not an HDF5 file, or is damaged.")
    return h5py.File(path, "r")


def _read_hdf5(path):
    with _hdf5(path) as file:
        if "model_config" not in file.attrs:
            raise ValueError(
                f"source: {str(path)!r} holds weights only, no model; write the model for Keras 3 and use "
                "copy_weights_from_keras2."
            )
        _check_version(path, _text(file.attrs.get("keras_version", "2")))
        model = _plain(json.loads(_text(file.attrs["model_config"])))
        if model["class_name"] not in MODELS:
            raise ValueError(
                f"source: {str(path)!r} holds a subclassed model ({model['class_name']}), whose computation "
                "is Python code; write the model for Keras 3 and use copy_weights_from_keras2."
            )
        config = model["config"]
        if isinstance(config, list):  # sequential models before Keras 2.2.3
            config = {"name": "sequential", "layers": config}
        return Keras2Model(model["class_name"], config, _weights_in(file["model_weights"]), path)


def _check_version(path, version):
    if version.split(".")[0].isdigit() and int(version.split(".")[0]) >= 3:
        raise ValueError(
            f"source: {str(path)!r} was written by Keras {version}; keras.models.load_model opens it."
        )


def _weights_in(group):
    layers = {}
    for name in _names(group, "layer_names"):
        layers[(name,)] = [
            (weight, np.array(group[name][weight])) for weight in _names(group[name], "weight_names")
        ]
    own = group.get("top_level_model_weights")
    if own is not None and (names := _names(own, "weight_names")):
        layers[()] = [(name, np.array(own[name])) for name in names]
    return Keras2Weights(layers)


def _names(group, attribute):
    """Names in an attribute, which Keras 2 splits into numbered ones when it is long."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    names, i = [], 0
    while f"{attribute}{i}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{attribute}{i}"]]
        i += 1
    return names


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _plain(value):
    """Tuples, as Keras 2 writes them to JSON, as lists."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return [_plain(item) for item in value["items"]]
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
