"""Pages that are made when the site is built, so that nothing is written twice. A hook of mkdocs.

From READMEs, notebooks, docstrings and committed results. In the navigation of `mkdocs.yml` an entry
`FOLDER/*` stands for all pages of a folder.
"""

import logging

from mkdocs.structure.files import File
from site_links import rewritten
from site_measurements import benchmark_pages, claim_pages
from site_names import NAMES, ROOT, with_links
from site_notebooks import index_page, notebook_files, notebook_page

from applications.registry import APPLICATIONS

logger = logging.getLogger("mkdocs.hooks.site_pages")

COPIES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "third_party.md": "THIRD_PARTY.md",
}
sources: dict[str, str] = {}  # path in the repository of what a page shows, by the page's path
published: dict[str, str] = {}  # path on the site of other files, by their path in the repository


def on_config(config):
    sources.clear()
    published.clear()
    config["made_pages"] = made = pages()
    config["nav"] = expanded(config["nav"], sorted_pages(made))
    return config


def pages() -> dict[str, str | bytes]:
    """All that is made, by its path on the site."""
    made: dict[str, str | bytes] = {}
    for page, source in COPIES.items():
        made[page], sources[page] = (ROOT / source).read_text(encoding="utf-8"), source
    for task in dict.fromkeys(row.task for row in APPLICATIONS):
        readme = ROOT / "applications" / task / "README.md"
        if readme.exists():
            page = f"applications/{task}.md"
            made[page], sources[page] = readme.read_text(encoding="utf-8"), f"applications/{task}/README.md"
    for path in notebook_files():
        made |= notebook_page(path)
        sources[f"notebooks/{path.stem}.md"] = f"notebooks/{path.name}"
        made[f"notebooks/files/{path.name}"] = path.read_bytes()
    made["notebooks/index.md"] = index_page()
    made["reference/index.md"] = reference_index()
    made |= {f"reference/{package}.md": reference_page(package) for package in NAMES}
    return made | claim_pages() | benchmark_pages()


def reference_index() -> str:
    lines = ["# Reference", "", "What `contrast` makes public, package by package, from the docstrings.", ""]
    lines += ["::: contrast", "    options:", "      show_root_heading: false", "      members: false", ""]
    for package, names in NAMES.items():
        links = ", ".join(f"[`{name}`][contrast.{package}.{name}]" for name in names)
        lines += [f"**[contrast.{package}]({package}.md)**: {links}", ""]
    return "\n".join(lines)


def reference_page(package: str) -> str:
    """A page with the docstring of the package and of everything in its `__all__`."""
    lines = [f"# contrast.{package} {{ #contrast.{package} }}", "", f"::: contrast.{package}", "    options:"]
    lines += [
        "      members: false",
        "      show_root_heading: false",
        "      show_root_toc_entry: false",
        "",
    ]
    for name in NAMES[package]:
        lines += [f"::: contrast.{package}.{name}", ""]
    return "\n".join(lines)


def sorted_pages(made: dict) -> dict[str, list[str]]:
    """The pages of each folder, index first, then in the order in which they were made."""
    folders: dict[str, list[str]] = {}
    for path in made:
        folder, slash, name = path.rpartition("/")
        if slash and name.endswith(".md"):
            folders.setdefault(folder, []).insert(0 if name == "index.md" else len(made), path)
    return folders


def expanded(nav: list, folders: dict[str, list[str]]) -> list:
    """The navigation with `FOLDER/*` replaced by what there is."""
    result = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, inner),) = entry.items()
            result.append({title: expanded(inner, folders) if isinstance(inner, list) else inner})
        elif entry.endswith("/*"):
            result += folders.get(entry.removesuffix("/*"), [])
        else:
            result.append(entry)
    return result


def on_files(files, config):
    for path, content in config["made_pages"].items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    uri = page.file.src_uri

    def publish(path: str) -> str:
        if path not in published:
            name = f"files/{path}" if (ROOT / path).suffix not in ("", ".py") else f"files/{path}.txt"
            content = folder_text(path) if (ROOT / path).is_dir() else (ROOT / path).read_bytes()
            published[path] = name
            files.append(File.generated(config, name, content=content))
        return published[path]

    if uri in sources or uri not in config["made_pages"]:
        markdown = rewritten(markdown, sources.get(uri, f"docs/{uri}"), uri, publish)
    return markdown if uri.startswith("reference/") else with_links(markdown)


def folder_text(path: str) -> str:
    """The files of a folder of the repository, for a link that names the folder."""
    return "\n".join(sorted(entry.name for entry in (ROOT / path).iterdir() if entry.name[0] not in "._"))
