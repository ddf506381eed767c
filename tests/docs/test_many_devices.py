"""The examples of the guide run, here on one device."""

import re
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

import contrast

pytestmark = pytest.mark.once

PAGE = Path(__file__).resolve().parents[2] / "docs" / "many_devices.md"


def test_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    views = np.random.default_rng(0).normal(size=(2, 8, 4)).astype("float32")
    names = {"contrast": contrast, "keras": keras, "queries": views[0], "keys": views[1]}
    names["images"] = np.random.default_rng(1).random((64, 16, 16, 1)).astype("float32")
    names["crop"] = lambda images, generator: images[:, generator.integers(4) :][:, :12]
    names["mask_of_the_global_batch"] = np.ones((8, 8), bool)
    for block in blocks:
        exec(compile(textwrap.dedent(block).replace("epochs=3", "epochs=1"), str(PAGE), "exec"), names)
    assert names["replicas"].count == 1
    assert names["model"].history.history["loss"][-1] > 0
    assert np.isfinite(float(names["loss"]))


def test_what_the_page_names_exists():
    text = PAGE.read_text(encoding="utf-8")
    for name in set(re.findall(r"`contrast\.([a-z_]+\.[A-Za-z_]\w+)", text)):
        package, _, rest = name.partition(".")
        assert rest in getattr(contrast, package).__all__
    assert set(re.findall(r"--distribute (\w+)", text)) <= {"auto", "2"}
