"""Notebooks as pages, with the outputs that they were saved with."""

import json
from pathlib import Path

from site_names import ROOT


def notebook_files() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def notebook_page(path: Path) -> dict[str, str | bytes]:
    """The page of a notebook and the pictures on it, by their paths on the site."""
    import nbformat
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    exporter = MarkdownExporter()
    resources = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    text, resources = exporter.from_notebook_node(notebook, resources)
    pages: dict[str, str | bytes] = {
        f"notebooks/{name}": content for name, content in resources["outputs"].items()
    }
    pages[f"notebooks/{path.stem}.md"] = with_download(text, path.name)
    return pages


def with_download(text: str, name: str) -> str:
    """The page with a link to the notebook itself below its title."""
    title, _, rest = text.lstrip().partition("\n")
    return f"{title}\n\n[:material-download: {name}](files/{name}){{ .md-button }}\n{rest}"


def title(path: Path) -> str:
    """The first heading of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return next(line for line in text.splitlines() if line.startswith("# ")).removeprefix("# ")


def index_page() -> str:
    lines = [
        "# Notebooks",
        "",
        "Each runs on a laptop, on every backend, with data that need no download.",
        "",
    ]
    lines += [f"- [{title(path)}]({path.stem}.md)" for path in notebook_files()]
    return "\n".join([*lines, ""])
