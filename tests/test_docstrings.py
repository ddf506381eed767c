"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest

import applications
import contrast

SKIPPED = (  # one module a backend; the others do not import
    "contrast.backend.",
    *(f"contrast.distribution.{backend}_replicas" for backend in ("tensorflow", "jax", "torch")),
)


def modules():
    for package in (contrast, applications):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.startswith(SKIPPED):
                yield module.name


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    module = importlib.import_module(name)
    examples = {"contrast": contrast, "keras": keras, "np": np}
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in finder.find(module, globs={**vars(module), **examples}):
        runner.run(test)
    assert runner.failures == 0
