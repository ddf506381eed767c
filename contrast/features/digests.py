"""What the features depend on, as digests: encoder, preprocessing, input."""

import functools
import hashlib
import json
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from contrast.transfer.weight_names import snake_case

BLOCK = 1 << 22  # bytes read or copied at once

# Parts of a serialised layer that say nothing about its outputs: addresses, earlier input shapes, training.
_IRRELEVANT = {"shared_object_id", "build_config", "compile_config"}
_CONSTANTS = (type(None), type(...), bool, int, float, complex, str, bytes, slice)


def new_digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def digest_of(*parts: Any) -> str:
    """The digest of strings, and of what `json` can write."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def add_array(digest: hashlib.blake2b, array: np.ndarray) -> None:
    """Adds shape, dtype and bytes, block by block: the array may be a memory map."""
    if array.dtype.hasobject:
        raise TypeError("data must be arrays of numbers, got an array of Python objects.")
    digest.update(f"{array.dtype.str}{array.dtype.name}{array.shape}".encode())
    if not array.ndim:
        digest.update(array.tobytes())
        return
    rows = max(1, BLOCK * max(1, len(array)) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).tobytes())


def add_file(digest: hashlib.blake2b, path: Path) -> None:
    """Adds the name of a file without its folder, its size and all that it holds."""
    digest.update(json.dumps([path.name, path.stat().st_size]).encode())
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)


def layer_digests(layer: keras.Layer) -> dict[str, str]:
    """Digests of a layer's architecture, code, precision and weights.

    Automatic names of layers (`dense_3`) do not count. The code is that of all classes inside that are not
    Keras's own, with the functions of their modules that they use.

    Raises:
        ValueError: if the layer has no config.
    """
    try:
        config = keras.saving.serialize_keras_object(layer)
    except NotImplementedError as error:
        raise ValueError(
            f"{type(layer).__name__} must define get_config, so that a changed architecture is noticed."
        ) from error
    layers = list(layer._flatten_layers())
    classes = dict.fromkeys(cls for inner in layers for cls in type(inner).__mro__)
    code = [
        [cls.__module__, cls.__qualname__, _class_code(cls)]
        for cls in classes
        if cls.__module__.partition(".")[0] not in ("keras", "builtins", "torch", "tensorflow")
    ]
    weights = new_digest()
    for weight in layer.weights:
        add_array(weights, keras.ops.convert_to_numpy(weight))
    return {
        "architecture": digest_of(_without_names(_relevant(config))),
        "code": digest_of(code),
        "precision": digest_of([inner.dtype_policy.name for inner in layers]),
        "weights": weights.hexdigest(),
    }


def _relevant(config):
    if isinstance(config, dict):
        return {key: _relevant(value) for key, value in config.items() if key not in _IRRELEVANT}
    if isinstance(config, list | tuple):
        return [_relevant(value) for value in config]
    return config if isinstance(config, _CONSTANTS) else repr(config)


def _without_names(config):
    """Automatic names numbered in the order of their appearance."""
    names = {}

    def collect(value):
        if isinstance(value, dict):
            inner = value.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
            if isinstance(name, str) and _is_automatic(name, str(value.get("class_name"))):
                names.setdefault(name, f"<{len(names)}>")
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    collect(config)
    return renamed(config)


def _is_automatic(name, class_name):
    # A layer of inputs is named after another class than its own.
    return re.fullmatch(rf"({re.escape(snake_case(class_name))}|keras_tensor)(_\d+)?", name) is not None


def preprocessing_digest(preprocess: Callable | None, version: str) -> str:
    """The digest of a function or layer, `None` among them.

    A function counts with its qualified name, its bytecode, its defaults, the values that it closes over, the
    constants of its module that it reads, and the functions of its module that it calls.

    Raises:
        TypeError: if it is not callable.
        ValueError: if it holds a value that has no digest, and version is empty.
    """
    if preprocess is None or isinstance(preprocess, keras.Layer):
        parts = None if preprocess is None else layer_digests(preprocess)
        return digest_of(parts, version)
    if not callable(preprocess):
        raise TypeError(f"preprocess must be a function or a Keras layer, got {preprocess!r}.")
    return digest_of(_value(preprocess, set(), strict=not version), version)


def _value(value, seen, strict):
    """What `json` can write and what is the same for equal values; `strict` refuses what has none."""
    if isinstance(value, _CONSTANTS):
        return [type(value).__name__, repr(value)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, [_value(item, seen, strict) for item in value]]
    if isinstance(value, set | frozenset):
        return ["set", sorted(json.dumps(_value(item, seen, strict)) for item in value)]
    if isinstance(value, dict):
        return ["dict", [[_value(k, seen, strict), _value(v, seen, strict)] for k, v in value.items()]]
    if isinstance(value, np.ndarray | np.generic):
        digest = new_digest()
        add_array(digest, np.asarray(value))
        return ["array", digest.hexdigest()]
    if isinstance(value, types.CodeType):
        constants = [_value(constant, seen, strict) for constant in value.co_consts]
        names = [value.co_names, value.co_varnames, value.co_freevars]
        return ["code", value.co_code.hex(), constants, [list(group) for group in names]]
    if isinstance(value, functools.partial):
        return ["partial", _value((value.func, value.args, value.keywords), seen, strict)]
    if isinstance(value, types.FunctionType):
        return _function(value, seen, strict)
    if isinstance(value, keras.Layer):
        return ["layer", layer_digests(value)]
    if isinstance(value, Path | np.dtype):
        return [type(value).__name__, str(value)]
    if isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | np.ufunc):
        name = getattr(value, "__qualname__", value.__name__)
        return ["name", getattr(value, "__module__", None), name]
    if strict:
        raise ValueError(
            f"preprocess holds a value of type {type(value).__name__}, in which a change cannot be noticed; "
            "give a version, and another one after each change."
        )
    return ["type", type(value).__module__, type(value).__qualname__]


def _function(function, seen, strict):
    name = [function.__module__, function.__qualname__]
    if function in seen:
        return ["again", *name]
    seen.add(function)
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    held = [function.__defaults__, function.__kwdefaults__, cells]
    read = {}
    for global_name in sorted(_names(function.__code__)):
        value = function.__globals__.get(global_name)
        own = isinstance(value, types.FunctionType) and value.__module__ == function.__module__
        if own or isinstance(value, (*_CONSTANTS, tuple, list, set, frozenset, dict, np.ndarray)):
            read[global_name] = _value(value, seen, strict=False)
    return ["function", name, _value(function.__code__, seen, strict), _value(held, seen, strict), read]


def _names(code):
    """Names that a function and the functions inside it may look up."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*(_names(constant) for constant in inner))


def _is_filled(cell):
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _class_code(cls):
    """The functions that a class defines, properties and class methods among them, and its constants."""
    found, seen = {}, set()
    for name, value in vars(cls).items():
        for part in (value, getattr(value, "__func__", None), getattr(value, "fget", None)):
            if isinstance(part, types.FunctionType):
                found[name] = _value(part, seen, strict=False)
        if isinstance(value, (*_CONSTANTS, tuple)) and not name.startswith("_"):
            found[name] = _value(value, seen, strict=False)
    return dict(sorted(found.items()))
