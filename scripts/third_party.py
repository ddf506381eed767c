"""The table of dependencies and licences in THIRD_PARTY.md, from what is installed.

    python scripts/third_party.py            renews the table
    python scripts/third_party.py --check    changes nothing; fails if the table is out of date

To be run in the environment that `python3 scripts/dev.py setup` makes. A package that constraints.txt pins
for other machines only keeps the row that it has.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "THIRD_PARTY.md"
START, END = "<!-- dependencies:START -->", "<!-- dependencies:END -->"
NOT_STATED = "not stated"
HEADER = ("| package | licence | installed by |", "| --- | --- | --- |")


def pinned() -> list[str]:
    """Canonical names in constraints.txt, sorted."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return sorted(canonicalize_name(Requirement(line).name) for line in lines if line and line[0] != "#")


def closure(requirements: Iterable[Requirement], extras: set[str], seen: dict[str, set[str]]) -> set[str]:
    """Canonical names of what the requirements need on this machine; `seen` collects the extras of each."""
    environments = [{"extra": extra} for extra in (*extras, "")]
    for requirement in requirements:
        if requirement.marker is not None and not any(map(requirement.marker.evaluate, environments)):
            continue
        name = canonicalize_name(requirement.name)
        wanted = seen.get(name, set()) | requirement.extras
        if name not in seen or wanted != seen[name]:
            seen[name] = wanted
            closure(requirements_of(name), wanted, seen)
    return set(seen)


def requirements_of(name: str) -> list[Requirement]:
    """What an installed package requires, whatever the extra; nothing of one that is not installed."""
    try:
        return [Requirement(line) for line in importlib.metadata.requires(name) or ()]
    except importlib.metadata.PackageNotFoundError:
        return []


def installed_by() -> dict[str, list[str]]:
    """For each package, the extras that bring it; `base` alone where all installations have it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = closure(map(Requirement, project["dependencies"]), set(), {})
    brought = {name: ["base"] for name in base}
    for extra, lines in project["optional-dependencies"].items():
        # `test` and `all` take in the other extras, which are named by themselves
        own = [line for line in lines if not line.startswith(project["name"])]
        for name in closure(map(Requirement, own), set(), {}) - base:
            brought.setdefault(name, []).append(extra)
    return brought


def licence(name: str) -> str | None:
    """What the package's metadata say, their newest field first; `None` if it is not installed."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if metadata.get("License-Expression"):
        return metadata["License-Expression"]
    text = (metadata.get("License") or "").strip()
    if text and "\n" not in text and text.upper() != "UNKNOWN":
        return text
    classifiers = [line for line in metadata.get_all("Classifier") or () if line.startswith("License")]
    return ", ".join(line.rpartition(" :: ")[2] for line in classifiers) or NOT_STATED


def rows_of(text: str) -> dict[str, str]:
    """The table's rows by package."""
    return {match[1]: match[0] for match in re.finditer(r"^\| ([^ |]+) \|.*\|$", text, re.MULTILINE)}


def table(old: str) -> str:
    """The table between the markers, renewed."""
    brought, kept, rows = installed_by(), rows_of(old), []
    for name in pinned():
        found = licence(name)
        if found is None:
            rows.append(kept.get(name, f"| {name} | not installed on this machine | |"))
        else:
            rows.append(f"| {name} | {found.replace('|', '/')} | {', '.join(brought.get(name, ['-']))} |")
    return "\n".join([*HEADER, *rows])


def renewed(text: str) -> str:
    """The whole file with a renewed table."""
    before, rest = text.split(START)
    old, after = rest.split(END)
    return f"{before}{START}\n{table(old)}\n{END}{after}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    text = FILE.read_text(encoding="utf-8")
    new = renewed(text)
    if new == text:
        print("THIRD_PARTY.md is up to date.")
        return 0
    if check:
        print("THIRD_PARTY.md is out of date; `python scripts/third_party.py` renews it.", file=sys.stderr)
        return 1
    FILE.write_text(new, encoding="utf-8")
    print("Renewed THIRD_PARTY.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
