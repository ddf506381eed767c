"""Docstrings as the site shows them: examples as code, formulas as blocks, names as links.

An extension of griffe, which reads the docstrings for mkdocstrings.
"""

import inspect
import re

import griffe
from site_names import with_links

LABELS = "Call|Calls|Data|Errors|Inputs|Items|Logs|Reference|References|Result"
LABEL = re.compile(rf"^({LABELS}): ", re.MULTILINE)
EXAMPLE = re.compile(r"^Examples?:$", re.MULTILINE)
FORMULA = re.compile(
    r"^(?P<indent> *)(?P<before>[^\n$]*)\$\$(?P<formula>.+?)\$\$(?P<stop>[.,;]?)", re.M | re.S
)


class ReadableDocstrings(griffe.Extension):
    """Rewrites the docstrings of a package once it is loaded."""

    def on_package(self, *, pkg, loader, **kwargs):
        for thing in everything(pkg):
            if thing.docstring:
                parts = thing.path.split(".")
                package = parts[1] if len(parts) > 1 else None
                public = ".".join([*parts[:2], parts[-1]])
                thing.docstring.value = readable(thing.docstring.value, package, public)


def everything(thing):
    """The object and all that it holds, without what it only imports."""
    yield thing
    for member in thing.members.values():
        if not member.is_alias:
            yield from everything(member)


def readable(text: str, package: str | None = None, itself: str | None = None) -> str:
    """A docstring of `package` as Markdown with Google's sections; `itself` is not linked."""
    text = fenced_examples(inspect.cleandoc(text))
    text = FORMULA.sub(formula_block, text)
    text = EXAMPLE.sub("**Example**", LABEL.sub(r"**\1:** ", text))
    return with_links(text, package, itself)


def formula_block(found: re.Match) -> str:
    """A formula inside a paragraph as a block of its own, which keeps the stop behind it."""
    indent, before = found["indent"], found["before"].rstrip()
    formula = f"\n{indent}".join(line.strip() for line in found["formula"].strip().splitlines())
    text = f"{indent}{before}\n" if before else ""
    return f"{text}\n{indent}$$\n{indent}{formula}{found['stop']}\n{indent}$$\n"


def fenced_examples(text: str) -> str:
    """Every `>>>` example, up to the next empty line, inside a fence."""
    lines, inside = [], None
    for line in [*text.splitlines(), ""]:
        if inside is None and line.lstrip().startswith(">>>"):
            inside = line[: len(line) - len(line.lstrip())]
            lines.append(f"{inside}```pycon")
        elif inside is not None and not line.strip():
            lines.append(f"{inside}```")
            inside = None
        lines.append(line)
    return "\n".join(lines[:-1])
