"""What the packages of `contrast` make public, read from their `__all__` without importing anything."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"(?<![\[`])`(?P<name>[A-Za-z_][\w.]*)`(?![\]`])")
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2[ ]*$", re.MULTILINE | re.DOTALL)


def listed(module: Path) -> list[str]:
    """The names in a module's `__all__`."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return ast.literal_eval(node.value)
    raise ValueError(f"{module} has no __all__")


def public_names() -> dict[str, list[str]]:
    """For each public package of `contrast` what it makes public."""
    folder = ROOT / "contrast"
    return {name: listed(folder / name / "__init__.py") for name in listed(folder / "__init__.py")}


NAMES = public_names()


def target(name: str, package: str | None = None) -> str | None:
    """The full name that is meant by `name` in the text of a package, or `None` if it is nothing public.

    A short name is looked for in the same package first, and elsewhere if only one package has it.
    """
    parts = name.split(".")
    if parts[0] == "contrast":
        if len(parts) == 2 and parts[1] in NAMES:
            return name
        known = len(parts) > 2 and parts[2] in NAMES.get(parts[1], ())
        return ".".join(parts[:3]) if known else None  # of a method: its class
    if package is None or len(parts) > 1:
        return None
    if name in NAMES.get(package, ()):
        return f"contrast.{package}.{name}"
    homes = [home for home, names in NAMES.items() if name in names]
    return f"contrast.{homes[0]}.{name}" if len(homes) == 1 else None


def with_links(text: str, package: str | None = None, itself: str | None = None) -> str:
    """Markdown in which names in code style lead to the reference; fenced code stays as it is."""

    def link(found: re.Match) -> str:
        full = target(found["name"], package)
        return found[0] if full in (None, itself) else f"[{found[0]}][{full}]"

    return outside_fences(text, lambda part: CODE.sub(link, part))


def outside_fences(text: str, change) -> str:
    """`text` with `change` applied to what stands outside fenced code."""
    pieces, position = [], 0
    for fence in FENCE.finditer(text):
        pieces += [change(text[position : fence.start()]), fence[0]]
        position = fence.end()
    return "".join([*pieces, change(text[position:])])
