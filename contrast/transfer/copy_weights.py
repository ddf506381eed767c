"""Weights from one model to another, by name."""

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import keras
import numpy as np

from contrast.transfer.mapping import WeightMapping, below, close_to, listed, resolve
from contrast.transfer.report import Moved, TransferReport, Untouched, Unused
from contrast.transfer.weight_names import named_weights

Allowance = bool | str | Collection[str]


def copy_weights(
    source: keras.Layer | str | Path,
    target: keras.Layer,
    mapping: WeightMapping | None = None,
    *,
    allow_missing: Allowance = False,
    allow_misshaped: Allowance = False,
    allow_unused: Allowance = False,
) -> TransferReport:
    r"""Copies weights between models or layers by their names; all that was asked for, or nothing.

    Use it to start the second stage of a method from the first, or a model from a pretrained encoder. The
    names are those of `contrast.transfer.weight_names`; they leave out the name of the model itself, so that
    encoders can be given directly: `copy_weights(stage1.image_encoder, stage2.encoder)`.

    The mapping reads `{name in the target: name in the source}`. Only what it names moves:

    - no mapping: every weight of the target comes from the weight of the same name;
    - `{"encoder": "image_encoder"}`: a name or prefix, in whole steps between the slashes. Of several
      prefixes that fit the longest counts. The empty prefix is the whole model: `{"encoder": ""}` puts a
      pretrained encoder into a bigger model, `{"": "encoder"}` takes it out;
    - `{re.compile(r"block_(\d+)/(.*)"): r"stage/\1/\2"}`: a compiled expression that matches the whole name
      in the target; groups are filled into the name in the source.

    One source may fill several targets. Values pass through NumPy, so that no buffer is shared, and are cast
    to the dtype of the target. Moving statistics move too; optimizer state and random seeds do not.

    Args:
        source: a built model or layer, or the path of a `.keras` file of a model.
        target: a built model or layer.
        mapping: which weights move, as above.
        allow_missing: weights of the target that the mapping covers and that may keep their values when the
            source has none of that name. `True`, or names and prefixes in the target, such as `"head"` or
            `["head", "norm/scale"]`.
        allow_misshaped: likewise, when the shapes differ.
        allow_unused: likewise for weights of the source, within what the mapping names there, that no weight
            of the target takes; names and prefixes in the source. A source that has more than the target
            often means another architecture, for example a bias that gets lost.

    Returns:
        A `TransferReport`: what moved, what was left untouched in the target and why, and what went unused
        in the source.

    Raises:
        TypeError: if source or target is not of Keras 3, or the mapping is of a wrong type.
        FileNotFoundError: if the path does not exist.
        ValueError: if a name is missing, misshaped or unused without permission, an entry of the mapping or
            an allowance matches nothing, a target has several sources, a model is not built, or the file is
            no `.keras` file. The target is then as it was.

    Example:

    >>> def encoder(name):
    ...     return keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)], name=name)
    >>> pretrained = encoder("any")
    >>> inputs = keras.Input((8,))
    >>> bigger = keras.Model(inputs, keras.layers.Dense(2, name="head")(encoder("encoder")(inputs)))
    >>> report = contrast.transfer.copy_weights(pretrained, bigger, {"encoder": ""})
    >>> print(report)
    2 weights moved, 2 of the target untouched, 0 of the source unused.
    moved      encoder/dense/kernel  (8, 4)  from dense/kernel
    moved      encoder/dense/bias    (4,)    from dense/bias
    untouched  head/kernel           (4, 2)  not in the mapping
    untouched  head/bias             (2,)    not in the mapping
    """
    if isinstance(source, str | Path):
        source = _load(Path(source))
    values = {name: _to_numpy(weight) for name, weight in named_weights(source, "source").items()}
    return transfer(
        values,
        named_weights(target, "target"),
        target,
        mapping,
        allow_missing=allow_missing,
        allow_misshaped=allow_misshaped,
        allow_unused=allow_unused,
    )


def transfer(
    values: Mapping[str, np.ndarray],
    variables: Mapping[str, keras.Variable],
    target: keras.Layer,
    mapping: WeightMapping | None,
    *,
    allow_missing: Allowance,
    allow_misshaped: Allowance,
    allow_unused: Allowance,
) -> TransferReport:
    """`copy_weights` from named arrays into named variables of `target`."""
    sources = resolve(mapping, variables, values)
    allow_missing = _allowed("allow_missing", allow_missing, variables)
    allow_misshaped = _allowed("allow_misshaped", allow_misshaped, variables)
    allow_unused = _allowed("allow_unused", allow_unused, values)

    moved, untouched, problems = [], [], []
    for name, variable in variables.items():
        shape, source = tuple(variable.shape), sources.get(name)
        if source is None:
            untouched.append(Untouched(name, shape, "not in the mapping"))
        elif source not in values:
            untouched.append(Untouched(name, shape, f"the source has no {source}"))
            if not allow_missing(name):
                problems.append(f"missing: {name} {shape} <- {source}{close_to(source, values)}")
        elif values[source].shape != shape:
            untouched.append(Untouched(name, shape, f"{source} has shape {values[source].shape}"))
            if not allow_misshaped(name):
                problems.append(f"misshaped: {name} {shape} <- {source} {values[source].shape}")
        else:
            moved.append(Moved(name, source, shape))
            if _kind(values[source].dtype.name) != _kind(variable.dtype):
                problems.append(
                    f"another kind of number: {name} {variable.dtype} <- {source} {values[source].dtype.name}"
                )
    used = {row.source for row in moved}
    unused = [Unused(name, value.shape) for name, value in values.items() if name not in used]
    wanted = set(sources.values())
    problems += [
        f"unused: {row.source} {row.shape}"
        for row in unused
        if row.source not in wanted and _in_scope(row.source, mapping) and not allow_unused(row.source)
    ]
    if problems:
        raise ValueError(
            listed(
                "the weights do not fit and nothing was copied; correct mapping, or permit with "
                "allow_missing, allow_misshaped, allow_unused (target (shape) <- source (shape))",
                problems,
            )
        )
    assign(target, [(variables[row.target], values[row.source]) for row in moved])
    return TransferReport(tuple(moved), tuple(untouched), tuple(unused))


def assign(model: keras.Layer, pairs: list[tuple[keras.Variable, np.ndarray]]) -> None:
    """Assigns all values, then lets layers that keep something computed from their weights renew it."""
    for variable, value in pairs:
        variable.assign(value)
    changed = {id(variable) for variable, _ in pairs}
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization) and changed & {id(w) for w in layer.weights}:
            layer.finalize_state()


def _load(path):
    if not path.exists():
        raise FileNotFoundError(f"source: there is no file {str(path)!r}.")
    if path.suffix != ".keras":
        raise ValueError(
            f"source must be a .keras file, got {str(path)!r}. A weights file (.weights.h5) numbers the "
            "weights of a layer instead of naming them: build the model that wrote it, call its "
            "load_weights, and give that model as source. For files of Keras 2 there is "
            "copy_weights_from_keras2."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"source: {str(path)!r} is not a .keras file, or is damaged.")
    return keras.models.load_model(path, compile=False)


def _to_numpy(variable):
    value = np.array(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(variable)))
    # NumPy's bfloat16 is foreign to some backends.
    return value.astype("float32") if value.dtype.name == "bfloat16" else value


def _kind(dtype):
    return "float" if "float" in dtype else "bool" if dtype == "bool" else "int"


def _in_scope(name, mapping):
    """Whether a source name lies in what the mapping speaks of; expressions speak of single names."""
    if mapping is None:
        return True
    return any(below(name, value.rstrip("/")) for key, value in mapping.items() if isinstance(key, str))


def _allowed(argument, value, names):
    """A test of names, from what the user gave as `argument`."""
    if isinstance(value, bool):
        return lambda name: value
    prefixes = [prefix.rstrip("/") for prefix in ([value] if isinstance(value, str) else value)]
    for prefix in prefixes:
        if not any(below(name, prefix) for name in names):
            raise ValueError(
                f"{argument}: no weight has the name or prefix {prefix!r}{close_to(prefix, names)}"
            )
    return lambda name: any(below(name, prefix) for prefix in prefixes)
