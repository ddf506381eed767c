"""The Python examples of the READMEs run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHORTER = (("512", "32"), ("1500", "40"), ("300", "10"), ("epochs=12", "epochs=1"), ("epochs=3", "epochs=1"))


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
        )
    ),
]


@pytest.mark.parametrize("path", READMES)
def test_examples(path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        for long, short in SHORTER:
            block = block.replace(long, short)
        names = {}
        exec(compile(block, path, "exec"), names)
        assert names["model"].history.history["loss"][-1] > 0
