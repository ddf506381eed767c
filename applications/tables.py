"""Tables of measured results and of the applications: on the terminal, and in the READMEs.

A README holds `<!-- claim:START results.json -->` and `<!-- claim:END -->`, or `<!-- applications:START -->`
and `<!-- applications:END -->`; what stands between is made from the results and the registry, never by hand.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from applications.registry import APPLICATIONS, Application

BLOCK = re.compile(
    r"(?P<start><!-- (?P<kind>claim|applications):START(?: (?P<file>\S+))? -->\n)"
    r"(?P<body>.*?)"
    r"(?P<end><!-- (?P=kind):END -->)",
    re.DOTALL,
)
START = re.compile(r"<!-- (?:claim|applications):START")


def number(value: float | None) -> str:
    """Three decimals, or four digits for large numbers; `n/a` for what is not finite."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def mean_and_spread(values: Sequence[float | None], signed: bool = False) -> str:
    """Mean and, over more than one seed, the standard deviation: `0.953 ± 0.004`."""
    if any(value is None or not math.isfinite(value) for value in values):
        return "n/a"
    numbers = np.array(values, dtype="float64")
    sign = "+" if signed and numbers.mean() >= 0 else ""
    text = sign + number(float(numbers.mean()))
    return text if len(numbers) == 1 else f"{text} ± {number(float(numbers.std(ddof=1)))}"


def title(result: Mapping) -> str:
    """What was measured, with what, and how long it took."""
    seeds = " ".join(str(seed) for seed in result["seeds"])
    plural = "s" if len(result["seeds"]) > 1 else ""
    backend = result["backend"]
    versions = f"{backend} {result['versions'][backend]}, Keras {result['versions']['keras']}"
    fast = "; fast: it shows that the experiment runs, and nothing else" if result.get("fast") else ""
    return f"{result['corpus']} ({versions}; seed{plural} {seeds}; {result['seconds']:.0f} s{fast})"


def table_rows(result: Mapping) -> list[list[str]]:
    """Header, one row an arm, one row a baseline; the primary metric comes first."""
    primary, reference = result["primary_metric"], result.get("reference")
    metrics = next(iter(result["arms"].values()))
    names = [primary, *(name for name in metrics if name != primary)]
    header = ["arm", primary, *([f"difference to {reference}"] if reference else []), *names[1:]]
    rows = [header]
    for arm, measured in result["arms"].items():
        cells = {name: mean_and_spread(measured[name]["values"]) for name in names}
        rows.append([arm, cells[primary]])
        if reference:
            pairs = measured[primary]["values"], result["arms"][reference][primary]["values"]
            rows[-1].append("" if arm == reference else paired_difference(*pairs))
        rows[-1] += [cells[name] for name in names[1:]]
    for baseline, measured in result["baselines"].items():
        cells = {name: number(measured[name]) if name in measured else "" for name in names}
        rows.append([f"({baseline})", cells[primary], *([""] if reference else [])])
        rows[-1] += [cells[name] for name in names[1:]]
    return rows


def paired_difference(values: Sequence[float | None], reference: Sequence[float | None]) -> str:
    """Mean and spread over seeds of the differences, seed by seed."""
    pairs = zip(values, reference, strict=True)
    return mean_and_spread([math.nan if None in pair else pair[0] - pair[1] for pair in pairs], signed=True)


def verdicts(result: Mapping) -> list[tuple[str, str, str]]:
    """Kind, verdict and text of every check; a fast run is no ground to judge by."""
    words = {True: "holds", False: "does not hold"}
    if result.get("fast"):
        words = dict.fromkeys(words, "not judged")
    return [(check["kind"], words[check["holds"]], check["text"]) for check in result["checks"]]


def format_table(result: Mapping) -> str:
    """The result of one claim as text for a terminal."""
    rows = table_rows(result)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{result['task']} / {result['paper']}: {title(result)}", ""]
    for index, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
        if index == 0:
            lines.append("  ".join("-" * width for width in widths))
    lines += ["", *(f"{kind}: {verdict}: {text}" for kind, verdict, text in verdicts(result))]
    return "\n".join(lines)


def markdown_table(result: Mapping) -> str:
    """The result of one claim for a README."""
    lines = [f"**{markdown(title(result))}**", "", *markdown_rows(table_rows(result)), ""]
    for kind, verdict, text in verdicts(result):
        lines.append(f"- {kind}, **{verdict}**: {markdown(text)}")
    return "\n".join(lines).rstrip()


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first row is its header."""
    lines = [f"| {' | '.join(markdown(cell) for cell in row)} |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def markdown(text: str) -> str:
    """`text` with the characters escaped that would break a cell or turn into HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def applications_table(rows: Sequence[Application] = APPLICATIONS) -> str:
    """The registry as a Markdown table."""
    table = [["task", "model", "paper", "data", "what it does"]]
    for row in rows:
        ready = row.state == "ready"
        task = f"[{row.task}](applications/{row.task}/README.md)" if ready else row.task
        summary = row.summary if ready else f"*Planned.* {row.summary}"
        table.append([task, row.model_name, row.title, row.modality, summary])
    return "\n".join(markdown_rows(table))


def renewed(text: str, folder: Path) -> str:
    """`text` of a README in `folder` with every marked table made anew.

    Raises:
        ValueError: if a start marker has no end, or a claim marker names no file that can be read.
    """
    if len(START.findall(text)) != len(BLOCK.findall(text)):
        raise ValueError(f"{folder / 'README.md'}: a START marker has no END marker of its kind after it")

    def block(found: re.Match) -> str:
        is_claim = found["kind"] == "claim"
        body = claim_tables(found["file"], folder) if is_claim else applications_table()
        return f"{found['start']}{body}\n{found['end']}"

    return BLOCK.sub(block, text)


def claim_tables(file: str | None, folder: Path) -> str:
    """The tables of all results in the JSON `file`, a path relative to `folder`."""
    if file is None:
        raise ValueError(f"{folder / 'README.md'}: claim:START must name a JSON file")
    try:
        results = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / 'README.md'}: cannot read the results {file}: {error}") from error
    return "\n\n".join(markdown_table(result) for result in results)


def stale_readmes(root: Path) -> dict[Path, str]:
    """The READMEs below `root` whose tables are out of date, with the text that they should have."""
    stale = {}
    for path in [root / "README.md", *sorted((root / "applications").glob("*/README.md"))]:
        text = path.read_text(encoding="utf-8")
        new = renewed(text, path.parent)
        if new != text:
            stale[path] = new
    return stale
