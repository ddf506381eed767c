"""The tables that lead here from other libraries name what exists, on both sides."""

import importlib
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import contrast

pytestmark = pytest.mark.once

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("coming_from_*.md"))


def rows(path):
    """The cells of all rows of all tables of a page."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[1] not in ("here", "---")]


def resolve(root, name):
    for part in name.split("."):
        root = getattr(root, part)
    return root


def test_there_is_a_page_for_each_library():
    names = {"tensorflow_similarity", "lightly", "pytorch_metric_learning"}
    assert {path.stem.removeprefix("coming_from_") for path in PAGES} == names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_stands_on_the_right_exists(path):
    found = rows(path)
    assert len(found) > 20
    for row in found:
        assert len(row) == 3, row
        name = re.fullmatch(r"`contrast\.([\w.]+)`", row[1])
        assert name, row
        package, _, rest = name[1].partition(".")
        module = getattr(contrast, package)
        assert rest.partition(".")[0] in module.__all__, row
        assert callable(resolve(module, rest)), row


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_names_in_the_text_exist(path):
    text = path.read_text(encoding="utf-8")
    for name in set(re.findall(r"contrast\.(?:[a-z_]+)\.[A-Za-z_][\w.]*\w", text)):
        assert resolve(contrast, name.removeprefix("contrast.")) is not None


def test_what_stands_on_the_left_of_the_installed_library_exists():
    library = pytest.importorskip("pytorch_metric_learning")
    text = (DOCS / "coming_from_pytorch_metric_learning.md").read_text(encoding="utf-8")
    named = [
        name
        for row in rows(DOCS / "coming_from_pytorch_metric_learning.md")
        for name in re.findall(r"`([^`]+)`", row[0])
    ]
    assert len(named) > 30
    for name in named:
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(f"{library.__name__}.{module}"), last), name
    for name in re.findall(r"`(\w+(?:Loss|Miner))`", text):
        modules = [importlib.import_module(f"{library.__name__}.{kind}") for kind in ("losses", "miners")]
        assert any(hasattr(module, name) for module in modules), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_examples_run(path):
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    images, labels = np.random.default_rng(0).random((40, 32, 32, 3)).astype("float32"), np.arange(40) % 8
    encoder = contrast.encoders.ConvNet((4, 8))
    names = {"contrast": contrast, "keras": keras, "encoder": encoder, "images": images, "labels": labels}
    names |= {"x_train": images, "y_train": labels, "x_items": images, "x_query": images[:2]}
    names["labels"] = labels if "pytorch" in path.stem else labels.tolist()
    for block in blocks:
        block = re.sub(r"epochs=\d+", "epochs=1", block).replace("(32, 64, 128)", "(4, 8)")
        exec(compile(block, path, "exec"), names)
    assert names["model"].history.history["loss"][-1] > 0
