"""What this installation can do: the Keras backend that is chosen, and the extras that are missing."""

import importlib
import importlib.util
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")

# which extra brings a package
EXTRAS = {
    "jax": "jax",
    "torch": "torch",
    "mlxtend": "corpora",
    "skimage": "corpora",
    "albumentations": "benchmarks",
    "latex2mathml": "docs",
    "gradio": "demo",
    "grain": "grain",
    "matplotlib": "demo",
    "PIL": "demo",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "tf2onnx": "export",
    "dlib": "faces",
    "face_recognition_models": "faces",
    "pydicom": "radiology",
    "usearch": "retrieval",
    "sacrebleu": "text",
    "pycocoevalcap": "text",
    "av": "video",
    "nbclient": "notebooks",
    "nbformat": "notebooks",
    "ipykernel": "notebooks",
}


class MissingPackageError(ModuleNotFoundError):
    """A package that the task at hand needs is not installed; the message says how to install it."""


def chosen_backend() -> tuple[str, str]:
    """The backend that Keras will load and where it was chosen, found as Keras does, without importing it."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    settings = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(settings.read_text(encoding="utf-8"))["backend"], f'"backend" in {settings}'
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow", "Keras's default backend"


def check_backend() -> str:
    """The name of the chosen backend, which is known and installed.

    Raises:
        ValueError: if the backend is none of the three that train.
        MissingPackageError: if its package is not installed.
    """
    backend, source = chosen_backend()
    if backend not in BACKENDS:
        raise ValueError(f"{source} must be one of {', '.join(BACKENDS)}, got {backend!r}.")
    if importlib.util.find_spec(backend) is None:
        raise MissingPackageError(f"{source} is {backend!r}. {install_message(backend)}", name=backend)
    return backend


def check_packages(*names: str) -> None:
    """Raises MissingPackageError for the first of the packages that is not there."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingPackageError(install_message(name), name=name)


def install_message(package: str) -> str:
    """What to do about a missing package."""
    extra = EXTRAS.get(package)
    requirement = f"'keras-contrast[{extra}]'" if extra else package
    return f"The package {package} is not installed: pip install {requirement}"


def load_keras(seed: int = 0) -> None:
    """Imports Keras and its backend and seeds all global generators.

    While TensorFlow is loaded, which seeding does on every backend, it prints to standard error what no
    setting of its own turns off. If TF_CPP_MIN_LOG_LEVEL asks for silence, it shows only if loading fails.
    """
    hidden = native_messages_hidden if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3" else nullcontext
    with hidden():
        keras = importlib.import_module("keras")
        keras.utils.set_random_seed(seed)


@contextmanager
def compilations_kept(quick: bool = False) -> Iterator[None]:
    """In the block JAX, also in processes started there, compiles equal functions once.

    An experiment makes the same model for each of its arms, and JAX would compile it each time. It keeps what
    it compiled in a temporary folder, or in the one that `JAX_COMPILATION_CACHE_DIR` names. To be entered
    before JAX is loaded.

    Args:
        quick: compile without costly optimisations, for what computes next to nothing.
    """
    folder, plain = "JAX_COMPILATION_CACHE_DIR", "JAX_DISABLE_MOST_OPTIMIZATIONS"
    if chosen_backend()[0] != "jax":
        yield
        return
    with tempfile.TemporaryDirectory(prefix="keras-contrast-jax-", ignore_cleanup_errors=True) as made:
        wanted = {folder: made} | ({plain: "1"} if quick else {})
        added = {name: value for name, value in wanted.items() if not os.environ.get(name)}
        os.environ |= added
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Takes what libraries print to standard error, and gives it back after an error in the block."""
    sys.stderr.flush()
    error_output = os.dup(2)
    with tempfile.TemporaryFile() as taken:
        os.dup2(taken.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            taken.seek(0)
            os.write(error_output, taken.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(error_output, 2)
            os.close(error_output)


def versions(backend: str) -> dict[str, str]:
    """Versions of Python, NumPy, Keras and the package of `backend`."""
    packages = {name: importlib.import_module(name).__version__ for name in ("numpy", "keras", backend)}
    return {"python": platform.python_version(), **packages}
