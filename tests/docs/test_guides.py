"""The guides: what they name exists, and their examples run from top to bottom.

A block that a comment `<!-- not run: REASON -->` precedes is compiled, and not run.
"""

import ast
import functools
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import contrast

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
ELSEWHERE = ("coming_from_", "how_to_add_a_paper", "getting_started")  # pages with tests of their own
GUIDES = [path for path in DOCS if not path.stem.startswith(ELSEWHERE)]
PAGES = [
    *DOCS,
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "applications").glob("*/README.md")),
]
BLOCK = re.compile(r"(?P<before>^[^\n]*\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
NAME = re.compile(r"\bcontrast\.[a-z_]+(?:\.[A-Za-z_]\w*)+")


def exists(name):
    """Whether `contrast.package.Name...` leads to something, by public names."""
    package, public = name.split(".")[1:3]
    module = getattr(contrast, package, None)
    if module is None or public not in (*module.__all__, *vars(module)):
        return False
    return (
        functools.reduce(lambda found, part: getattr(found, part, None), name.split(".")[1:], contrast)
        is not None
    )


def blocks(path):
    """The Python of a page, and whether it is run."""
    for found in BLOCK.finditer(path.read_text(encoding="utf-8")):
        yield found["code"], not NOT_RUN.match(found["before"] or "")


def test_the_guides_are_there():
    stems = {path.stem for path in GUIDES}
    assert {
        "which_objective_when",
        "losses_and_ids",
        "views_and_batches",
        "your_own_model",
        "evaluating",
    } <= stems


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_names_exist(path):
    missing = [name for name in NAME.findall(path.read_text(encoding="utf-8")) if not exists(name)]
    assert not missing


def test_the_guide_to_objectives_leads_to_all_of_them():
    text = (ROOT / "docs" / "which_objective_when.md").read_text(encoding="utf-8")
    models = set(contrast.models.__all__) - {"Scheme"}
    losses = set(contrast.losses.__all__)
    bases = {"ContrastiveLoss", "MetricLoss", "ParametricLoss"}
    # of a scheme of the same meaning, or parts of other losses, or named on the pages for those who come
    of_schemes = {"BarlowTwins", "VICReg", "NegativeCosine", "SwappedPrediction", "SelfDistillation"}
    parts = {"agreement_penalty", "diagonal_cross_entropy", "masked_patch_loss"}
    others = {"LiftedStructure", "NPairs", "PN"}
    named = set(re.findall(r"contrast\.(?:losses|models)\.(\w+)", text))
    assert models <= named
    assert losses - bases - of_schemes - parts - others <= named


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_examples_run(path):
    found = list(blocks(path))
    names = {"__name__": path.stem}
    for code, is_run in found:
        compiled = compile(code, str(path), "exec")
        if is_run:
            exec(compiled, names)
    assert found


def test_the_first_training_learns():
    names = {}
    for code, _ in blocks(ROOT / "docs" / "getting_started.md"):
        exec(code, names)
    assert names["scores"]["SimCLR"] > names["scores"]["untrained"] + 0.03
    assert names["nearest_labels"].shape == (5, 3)


def fragments():
    """Fenced Python in public docstrings: parts of a class, which do not run by themselves."""
    for package in contrast.__all__:
        module = getattr(contrast, package)
        for name in module.__all__:
            for code in re.findall(
                r"```python\n(.*?)```", inspect.getdoc(getattr(module, name)) or "", re.DOTALL
            ):
                yield pytest.param(code, id=f"{package}.{name}")


@pytest.mark.parametrize("code", fragments())
def test_fragments_in_docstrings_are_python_and_name_what_exists(code):
    assert ast.parse(textwrap.dedent(code)).body
    assert all(exists(name) for name in NAME.findall(code))
