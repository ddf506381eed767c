"""A trained encoder as a file that needs neither Keras nor this package."""

import importlib.util
import os
import shutil
import textwrap
import uuid
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from contrast.backend.saved_model import serve

# What writes each format: per backend the packages that are needed, of the extra `export`.
WRITERS = {
    "saved_model": {"tensorflow": (), "jax": ()},
    "onnx": {"torch": ("onnx", "onnxscript"), "tensorflow": ("onnx", "tf2onnx")},
}


def export_encoder(
    encoder: keras.Model,
    path: str | os.PathLike,
    format: str = "saved_model",
    *,
    check: Any = None,
    rows: int | None = None,
    tolerance: float = 1e-4,
) -> float | None:
    """Writes an encoder for inference, and compares what the file gives with what the encoder gives.

    | format | written on | read by |
    | --- | --- | --- |
    | `"saved_model"`, a folder | TensorFlow, JAX | TensorFlow Serving, `tf.saved_model.load(path)` |
    | `"onnx"`, a file (extra `export`) | TensorFlow, PyTorch | `onnxruntime` and other runtimes |

    Where a backend cannot write a format, save the encoder as `.keras` and load it on one that can; so for a
    model of token ids such as `TextTransformer`, which JAX can write as SavedModel and TensorFlow cannot. The
    file takes its place when it is whole and, with samples, when it has been found to give the same;
    otherwise what was there stays.

    Args:
        encoder: a model, whose outputs are an array or a list, tuple or dict of arrays.
        path: a folder for `"saved_model"`, a file for `"onnx"`; an earlier export is replaced.
        format: as above.
        check: samples `(rows, ...)`, in the structure that the encoder takes; better not zeros. They are
            given as a whole and, to see that the number of rows is free, the first alone. `None`: nothing is
            compared, and the encoder is not a class of its own but a functional or sequential model.
        rows: the number of rows of every batch; `None`: it stays free. Transformers can be written as ONNX
            only on PyTorch and with a given number.
        tolerance: the largest difference that is let pass, relative to the largest entry of the outputs.

    Returns:
        The largest difference, relative likewise; `None` without samples.

    Raises:
        ValueError: if the format is unknown, the backend cannot write it or not this encoder, the encoder
            computes in another type than float32 (for `"onnx"`), samples do not fit, or outputs differ, with
            the largest difference.
        TypeError: if the encoder is no `keras.Model`.
        FileExistsError: if path holds something else.
        ModuleNotFoundError: if a package of the extra `export` is missing.

    Example:

    ```python
    difference = contrast.transfer.export_encoder(encoder, "encoder.onnx", "onnx", check=images[:8])
    ```
    """
    path = Path(path)
    _check(encoder, path, format)
    samples = _samples(check, rows)
    expected = [_outputs(encoder, batch) for batch in samples]
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        try:
            _write(encoder, temporary, format, samples[0] if samples else None, rows)
            given = _run(temporary, format, samples)
        except Exception as error:
            raise ValueError(_not_written(format, error)) from error
        difference = _largest_difference(given, expected, tolerance) if samples else None
        _put_in_place(temporary, path)
    finally:
        _remove(temporary)
    return difference


def _check(encoder, path, format):
    if not isinstance(encoder, keras.Model):
        raise TypeError(f"encoder must be a keras.Model, got {type(encoder).__name__}.")
    if format not in WRITERS:
        raise ValueError(f"format must be 'saved_model' or 'onnx', got {format!r}.")
    backend = keras.config.backend()
    if backend not in WRITERS[format]:
        able = " or ".join(WRITERS[format])
        raise ValueError(
            f"format {format!r} can be written on {able}, not on {backend}: save the encoder as a .keras "
            f"file, and load and export it with KERAS_BACKEND={next(iter(WRITERS[format]))}."
        )
    for package in (*WRITERS[format][backend], *(("onnxruntime",) if format == "onnx" else ())):
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(
                f"format 'onnx' needs {package}: pip install 'keras-contrast[export]'", name=package
            )
    other = {layer.compute_dtype for layer in encoder._flatten_layers()} - {"float32", None}
    if format == "onnx" and any("float" in dtype for dtype in other):
        raise ValueError(
            f"encoder must compute in float32 to be written as ONNX, got {', '.join(sorted(other))}: build "
            "it with dtype='float32' and load its weights."
        )
    ours = path / "saved_model.pb" if format == "saved_model" else path
    if path.exists() and not ours.is_file():
        raise FileExistsError(f"path {path} holds something else than an earlier export.")


def _write(encoder, path, format, samples, rows):
    signature = None
    if samples is not None and getattr(encoder, "inputs", None) is None:
        # A model that is a class of its own does not say which shapes and types it takes.
        inputs = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=str(x.dtype)), samples)
        encoder = keras.Model(inputs, encoder(inputs, training=False))
        _outputs(encoder, samples)  # Keras exports only what has been called
    if rows is not None:
        signature = [
            keras.tree.map_structure(
                lambda x: keras.InputSpec(shape=(rows, *x.shape[1:]), dtype=str(x.dtype)), samples
            )
        ]
    kind = "tf_saved_model" if format == "saved_model" else format
    with warnings.catch_warnings():
        # Of the converters, about their own code and about tracing.
        warnings.simplefilter("ignore")
        encoder.export(str(path), format=kind, verbose=False, input_signature=signature)


def _not_written(format, error):
    backend = keras.config.backend()
    others = " or ".join(other for other in WRITERS[format] if other != backend)
    fixed = "; on torch, give rows if it is a transformer" if format == "onnx" else ""
    reason = textwrap.shorten(str(error) or type(error).__name__, 300)
    return (
        f"{backend} cannot write this encoder as {format!r}: {reason} Save it as a .keras file, and load and "
        f"export it with KERAS_BACKEND={others}{fixed}."
    )


def _samples(check, rows):
    """The samples as a whole, and the first alone if the number of rows is free."""
    if check is None:
        if rows is not None:
            raise ValueError("rows needs check, samples that say the shape of the inputs.")
        return []
    check = keras.tree.map_structure(keras.ops.convert_to_numpy, check)
    counts = {len(array) for array in keras.tree.flatten(check)}
    if counts == {0} or len(counts) > 1 or (rows is not None and counts != {rows}):
        wanted = "one number of rows, at least 1" if rows is None else f"{rows} rows"
        raise ValueError(f"check must have {wanted}, got {sorted(counts)}.")
    return [check] if rows is not None else [check, keras.tree.map_structure(lambda array: array[:1], check)]


def _outputs(encoder, rows):
    return _flat(encoder(keras.tree.map_structure(keras.ops.convert_to_tensor, rows), training=False))


def _flat(outputs):
    return [
        keras.ops.convert_to_numpy(keras.ops.stop_gradient(array)) for array in keras.tree.flatten(outputs)
    ]


def _run(path, format, samples):
    """The outputs of what was written, for all samples."""
    if not samples:
        return []
    if format == "saved_model":
        return [keras.tree.flatten(outputs) for outputs in serve(str(path), samples)]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return [session.run(None, dict(zip(names, keras.tree.flatten(rows), strict=True))) for rows in samples]


def _largest_difference(given, expected, tolerance):
    difference = 0.0
    for ours, theirs in zip(given, expected, strict=True):
        for number, (array, wanted) in enumerate(zip(ours, theirs, strict=True)):
            if array.shape != wanted.shape:
                raise ValueError(
                    f"The exported file gives output {number} of shape {array.shape}, the encoder of "
                    f"{wanted.shape}."
                )
            largest = max(np.abs(wanted).max(initial=0), np.finfo("float32").tiny)
            here = float(np.abs(array - wanted).max(initial=0) / largest)
            if not here <= tolerance:
                raise ValueError(
                    f"The exported file gives other outputs than the encoder, and was not kept: in output "
                    f"{number} the largest difference is {here:.3g} of the largest entry, the tolerance is "
                    f"{tolerance:.3g}."
                )
            difference = max(difference, here)
    return difference


def _put_in_place(temporary, path):
    if not path.is_dir():
        os.replace(temporary, path)
        return
    earlier = path.with_name(f"{temporary.name}-earlier")
    path.rename(earlier)
    temporary.rename(path)
    shutil.rmtree(earlier)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
