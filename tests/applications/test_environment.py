import json
import os

import keras
import numpy as np
import pytest

from applications import environment
from applications.environment import (
    MissingPackageError,
    check_backend,
    check_packages,
    chosen_backend,
    compilations_kept,
    install_message,
    load_keras,
    native_messages_hidden,
    versions,
)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """No KERAS_BACKEND, and an empty folder for Keras's settings."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_the_chosen_backend_is_the_one_that_keras_loaded():
    assert chosen_backend()[0] == keras.config.backend()
    assert check_backend() == keras.config.backend()


def test_the_backend_comes_from_the_variable_then_the_settings_then_the_default(keras_home, monkeypatch):
    assert chosen_backend() == ("tensorflow", "Keras's default backend")
    (keras_home / "keras.json").write_text("not JSON")
    assert chosen_backend()[0] == "tensorflow"
    (keras_home / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert chosen_backend()[0] == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert chosen_backend() == ("torch", "KERAS_BACKEND")
    monkeypatch.setenv("KERAS_BACKEND", "")
    assert chosen_backend()[0] == "jax"


@pytest.mark.parametrize("name", ["pytorch", "numpy", "openvino"])
def test_backends_that_cannot_train_are_refused(name, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(ValueError, match=f"must be one of tensorflow, jax, torch, got '{name}'"):
        check_backend()


def test_a_wrong_setting_is_said_to_be_in_the_settings_file(keras_home):
    (keras_home / "keras.json").write_text(json.dumps({"backend": "theano"}))
    with pytest.raises(ValueError, match=r'"backend" in .*keras\.json must be one of'):
        check_backend()


def test_what_is_not_installed_is_said_with_its_extra(monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MissingPackageError, match=r"pip install 'keras-contrast\[jax\]'"):
        check_backend()
    with pytest.raises(MissingPackageError, match=r"package gradio .* 'keras-contrast\[demo\]'"):
        check_packages("gradio", "matplotlib")


def test_packages_of_no_extra_are_named_alone():
    assert install_message("tensorflow").endswith("pip install tensorflow")
    check_packages("numpy")


def test_versions_are_those_in_use():
    found = versions(keras.config.backend())
    assert found["keras"] == keras.__version__
    assert found["numpy"] == np.__version__
    assert found[keras.config.backend()]


@pytest.mark.parametrize("level", ["0", "3"])
def test_keras_is_seeded_when_it_is_loaded(level, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)

    def draw(seed):
        load_keras(seed)
        return float(keras.random.uniform(())), np.random.rand()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_what_jax_compiles_is_kept_while_an_experiment_runs(backend, monkeypatch):
    name = "JAX_COMPILATION_CACHE_DIR"
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.delenv(name, raising=False)
    with compilations_kept():
        folder = os.environ.get(name)
        assert (folder is not None and os.path.isdir(folder)) == (backend == "jax")
    assert name not in os.environ
    assert folder is None or not os.path.exists(folder)


def test_the_users_own_folder_of_compilations_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS", raising=False)
    with compilations_kept(quick=True):
        assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path)
        assert os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"
    assert tmp_path.is_dir()
    assert "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ


def test_what_libraries_print_is_shown_after_an_error_only(capfd):
    with native_messages_hidden():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), native_messages_hidden():
        os.write(2, b"the reason")
        raise ImportError("library missing")
    assert capfd.readouterr().err == "the reason"
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"
