"""The documentation site: what its scripts make of READMEs, docstrings, results; and that it builds."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import contrast
from applications.registry import APPLICATIONS

for package in ("mkdocs", "material", "mkdocstrings", "griffe", "latex2mathml", "nbconvert", "matplotlib"):
    pytest.importorskip(package)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "site"))
import site_docstrings  # noqa: E402
import site_formulas  # noqa: E402
import site_links  # noqa: E402
import site_measurements  # noqa: E402
import site_names  # noqa: E402
import site_notebooks  # noqa: E402
import site_pages  # noqa: E402

sys.path.pop(0)

once = pytest.mark.once


@once
def test_public_names_are_those_of_the_packages():
    assert {name: getattr(contrast, name).__all__ for name in contrast.__all__} == site_names.NAMES


@once
def test_names_become_links_to_the_reference_outside_code():
    text = "Take `contrast.losses.InfoNCE` or `contrast.nothing.X`.\n\n"
    text += "```python\n`contrast.losses.InfoNCE`\n```\n"
    linked = site_names.with_links(text)
    assert linked.count("][contrast.losses.InfoNCE]") == 1
    assert linked.endswith("```python\n`contrast.losses.InfoNCE`\n```\n")
    assert "`contrast.nothing.X`." in linked
    method = site_names.with_links("`contrast.retrieval.EmbeddingIndex.add`")
    assert method == "[`contrast.retrieval.EmbeddingIndex.add`][contrast.retrieval.EmbeddingIndex]"


@once
def test_short_names_in_a_docstring_mean_the_same_package_first():
    assert site_names.target("VICReg", "models") == "contrast.models.VICReg"
    assert site_names.target("VICReg", "losses") == "contrast.losses.VICReg"
    assert site_names.target("VICReg", "layers") is None  # two packages have it
    assert site_names.target("MemoryQueue", "losses") == "contrast.layers.MemoryQueue"
    assert site_names.with_links("`NTXent`", "losses", "contrast.losses.NTXent") == "`NTXent`"


@once
def test_docstrings_become_markdown():
    docstring = r"""One line.

    For $x$, with
    $$y = x^2 +
    1.$$

    Args:
        x: as in $$z$$.

    Call: `(x)` returns y.

    Example:

    >>> 1 + 1
    2
    """
    text = site_docstrings.readable(docstring)
    assert "\n\n$$\ny = x^2 +\n1.\n$$\n" in text
    assert "**Call:** `(x)`" in text
    assert "**Example**\n\n```pycon\n>>> 1 + 1\n2\n```" in text


@once
def test_formulas_become_mathml_and_bad_ones_a_warning(caplog):
    good = site_formulas.mathml(r"\frac{1}{\tau} \sum_{i &lt; j} x_i", "block", "page.md")
    assert good.startswith("<math") and "<mfrac>" in good and "&#x0003C;" in good
    assert not caplog.records
    for bad in (r"\left( x", r"\nosuchcommand x"):
        caplog.clear()
        assert site_formulas.mathml(bad, "inline", "page.md") == f"<code>{bad}</code>"
        assert "page.md" in caplog.text


@once
def test_links_between_files_become_links_between_pages():
    published = []

    def publish(path):
        published.append(path)
        return f"files/{path}.txt"

    text = (
        "[a](../../notebooks/face_naming.ipynb) ![b](../../docs/images/face_naming_demo.png)"
        " [c](../schemes/README.md#limits) [d](https://example.org) [e](../../contrast/losses)"
        " [f](../../LICENSE)"
        " [g](no_such_file.md)\n<!-- claim:START x.json -->\n"
    )
    made = site_links.rewritten(
        text, "applications/face_naming/README.md", "applications/face_naming.md", publish
    )
    assert made == (
        "[a](../notebooks/face_naming.md) ![b](../images/face_naming_demo.png)"
        " [c](schemes.md#limits) [d](https://example.org) [e](../reference/losses.md)"
        " [f](../files/LICENSE.txt)"
        " [g](no_such_file.md)\n"
    )
    assert published == ["LICENSE"]


@once
def test_every_result_of_a_claim_is_shown_with_figures(monkeypatch):
    monkeypatch.setattr(site_measurements, "as_svg", lambda draw, result, ink: b"<?xml")  # the build draws
    results = site_measurements.claim_files()
    pages = site_measurements.claim_pages()
    assert len(results) == len([name for name in pages if name.endswith(".md")]) - 1
    for path in results:
        for result in json.loads(path.read_text(encoding="utf-8")):
            (text,) = [
                t
                for t in map(str, pages.values())
                if f"## {result['corpus']}\n" in t and path.parent.name in t
            ]
            for check in result["checks"]:
                assert check["text"].replace("<", "&lt;") in text
    figures = {name for name in pages if name.endswith(".svg")}
    shown = {
        f"claims/{name}"
        for text in map(str, pages.values())
        for name in re.findall(r"\]\((\S+?\.svg)#", text)
    }
    assert figures == shown
    assert all(pages[name].lstrip().startswith(b"<?xml") for name in figures)


@once
def test_results_of_benchmarks_are_shown(monkeypatch, tmp_path):
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    begun = '\nif __name__ == "__main__":\n    pass\n'
    engine = '"""How fast\nthe engine is.\n\nMore."""\n'
    (tmp_path / "benchmarks" / "engine.py").write_text(engine + begun)
    (tmp_path / "benchmarks" / "other.py").write_text('"""Another."""\n' + begun)
    (tmp_path / "benchmarks" / "shared.py").write_text('"""What both need."""\n')
    (folder / "engine.json").write_text('{"machine": {"cores": 2}, "rows": []}')
    (folder / "engine.md").write_text("| a |\n| --- |\n| 1 |\n")
    (folder / "engine.svg").write_text("<svg/>")
    monkeypatch.setattr(site_measurements, "ROOT", tmp_path)
    pages = site_measurements.benchmark_pages()
    assert "| [engine](engine.md) | How fast the engine is. |" in pages["benchmarks/index.md"]
    assert "| other | Another. |" in pages["benchmarks/index.md"]
    assert "| 1 |" in pages["benchmarks/engine.md"] and "cores 2" in pages["benchmarks/engine.md"]
    assert pages["benchmarks/engine.svg"] == b"<svg/>"
    assert "benchmarks/other.md" not in pages
    assert "shared" not in pages["benchmarks/index.md"]


@once
def test_the_navigation_holds_what_there_is():
    folders = {"x": ["x/index.md", "x/a.md"]}
    nav = [{"Home": "index.md"}, {"X": ["x/*"]}, {"Y": ["getting_started.md"]}]
    assert site_pages.expanded(nav, folders) == [
        {"Home": "index.md"},
        {"X": ["x/index.md", "x/a.md"]},
        {"Y": ["getting_started.md"]},
    ]


@once
def test_a_notebook_becomes_a_page_with_its_pictures():
    pages = site_notebooks.notebook_page(ROOT / "notebooks" / "contrastive_learning_in_ten_minutes.ipynb")
    text = pages["notebooks/contrastive_learning_in_ten_minutes.md"]
    pictures = [name for name in pages if name.endswith(".png")]
    assert text.startswith("# Contrastive learning in ten minutes\n")
    assert len(pictures) > 4
    assert all(name.removeprefix("notebooks/") in text for name in pictures)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as the command builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_holds_what_there_is(site):
    for row in APPLICATIONS:
        assert (site / "applications" / row.task / "index.html").is_file()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / path.stem / "index.html").is_file()
    for package in contrast.__all__:
        text = (site / "reference" / package / "index.html").read_text(encoding="utf-8")
        missing = [
            name
            for name in getattr(contrast, package).__all__
            if f'id="contrast.{package}.{name}"' not in text
        ]
        assert not missing


@pytest.mark.slow
def test_formulas_of_the_reference_are_there_and_no_markup_of_theirs_is_left(site):
    for package in ("losses", "models", "evaluation"):
        text = (site / "reference" / package / "index.html").read_text(encoding="utf-8")
        assert text.count("<math") > 10
        shown = re.sub(r"<(pre|code|math|script|annotation).*?</\1>", "", text, flags=re.DOTALL)
        assert "$" not in re.sub(r"<[^>]+>", "", shown)
        assert "arithmatex" not in text


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    loaded = re.compile(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="?(https?:)?//[^" >]+')
    for path in site.rglob("*.html"):
        found = [x[0] for x in loaded.finditer(path.read_text(encoding="utf-8")) if "canonical" not in x[0]]
        assert not found, path
