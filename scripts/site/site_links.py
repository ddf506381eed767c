"""Links between files of the repository as links between pages of the site.

READMEs, notebooks and guides link to one another as files, so that they also work where the repository is
browsed. What has a page leads to the page; any other file is published beside the pages.
"""

import posixpath
import re

from site_names import NAMES, ROOT, outside_fences

LINK = re.compile(r"(?P<start>\]\()(?P<target>[^)\s]+)(?P<end>\))")
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
OUTSIDE = ("http://", "https://", "mailto:", "#")


def page_of(path: str) -> str | None:
    """The page that shows a file or folder of the repository, given by its path there."""
    fixed = {
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        "THIRD_PARTY.md": "third_party.md",
        "notebooks": "notebooks/index.md",
        "benchmarks": "benchmarks/index.md",
        "contrast": "reference/index.md",
    }
    if path in fixed:
        return fixed[path]
    parts = path.split("/")
    match parts:
        case ["docs", *rest]:
            return "/".join(rest)
        case ["applications", task] | ["applications", task, "README.md"]:
            readme = ROOT / "applications" / task / "README.md"
            return f"applications/{task}.md" if readme.exists() else None
        case ["notebooks", name] if name.endswith(".ipynb"):
            return f"notebooks/{name.removesuffix('.ipynb')}.md"
        case ["contrast", package] if package in NAMES:
            return f"reference/{package}.md"
    return None


def rewritten(text: str, source: str, page: str, publish) -> str:
    """Markdown of the file `source` with links as they must be on `page`; comments are left out.

    Args:
        text: the Markdown.
        source: path of the file in the repository.
        page: path of its page on the site.
        publish: `publish(path)` puts another file of the repository on the site and returns its path there.
    """
    folder = posixpath.dirname(source)

    def link(found: re.Match) -> str:
        target, mark, anchor = found["target"].partition("#")
        if found["target"].startswith(OUTSIDE):
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if not (ROOT / path).exists():
            return found[0]  # mkdocs warns of it
        goal = page_of(path) or publish(path)
        relative = posixpath.relpath(goal, posixpath.dirname(page) or ".")
        return f"{found['start']}{relative}{mark}{anchor}{found['end']}"

    return outside_fences(text, lambda part: LINK.sub(link, COMMENT.sub("", part)))
