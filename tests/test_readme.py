"""The Python examples of the READMEs run."""

import re
from pathlib import Path

import numpy as np
import pytest

import contrast

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
SHORTER = (
    ("512", "32"),
    ("1500", "40"),
    ("300", "10"),
    ("epochs=12", "epochs=1"),
    ("epochs=20", "epochs=1"),
    ("epochs=3", "epochs=1"),
)


READMES = [
    "README.md",
    *(
        f"applications/{task}/README.md"
        for task in (
            "face_naming",
            "anomaly_detection",
            "metric_learning",
            "sign_translation",
            "report_generation",
            "schemes",
        )
    ),
]


@pytest.mark.parametrize("path", READMES)
def test_examples(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some save what they trained
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        for long, short in SHORTER:
            block = block.replace(long, short)
        names = {} if "import " in block else yours()
        exec(compile(block, path, "exec"), names)
        model = names.get("model") or names["scheme"]
        assert model.history.history["loss"][-1] > 0


def yours():
    """What an example means by an encoder and images of your own."""
    images = np.random.default_rng(0).random((64, 32, 32, 3)).astype("float32")
    return {"contrast": contrast, "encoder": contrast.encoders.ConvNet((4, 8)), "images": images}
