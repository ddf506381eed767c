"""Pages of what was measured, made from the committed JSON: claims of papers, and benchmarks."""

import ast
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

from site_names import ROOT

from applications.registry import APPLICATIONS
from applications.tables import markdown, markdown_rows, markdown_table, mean_and_spread, verdicts

INKS = {"light": "#333333", "dark": "#dddddd"}
CLAIMS = """\
# Claims

What `contrast reproduce` measured on data that anyone has, at laptop size. A *claim* is a paper's own
direction; one that does not hold is shown as it is. Each page has the whole table, every seed and the
curves of training. They are made from the results that are committed beside the applications.

"""
BENCHMARKS = """\
# Benchmarks

Time and memory, each measurement in a process of its own. Numbers are of one machine, which their page
names; compare within a table only. A benchmark whose name is no link has no committed result: run it.

"""


def claim_files() -> list[Path]:
    """The files with results of `contrast reproduce`, in the order of the registry."""
    tasks = list(dict.fromkeys(row.task for row in APPLICATIONS))
    files = [path for task in tasks for path in sorted((ROOT / "applications" / task).glob("**/*.json"))]
    return [path for path in files if is_claim(path)]


def is_claim(path: Path) -> bool:
    content = json.loads(path.read_text(encoding="utf-8"))
    return isinstance(content, list) and all({"arms", "checks", "primary_metric"} <= set(x) for x in content)


def claim_pages() -> dict[str, str | bytes]:
    """Text of each page and bytes of each figure, by its path on the site."""
    pages: dict[str, str | bytes] = {}
    overview = [["task", "data", "best arm", "what it reached", "claims that hold", "time"]]
    for path in claim_files():
        results = json.loads(path.read_text(encoding="utf-8"))
        task = path.relative_to(ROOT / "applications").parts[0]
        stem = path.stem.removesuffix("_claim")
        name = f"claims/{task}.md" if stem == task else f"claims/{task}_{stem}.md"
        row = next(row for row in APPLICATIONS if row.task == task)
        paper = results[0]["paper"]
        lines = [f"# {task}" if paper == task else f"# {task}: {paper}", "", row.summary, ""]
        lines += [f"The application: [{task}](../applications/{task}.md). The measurement again:", ""]
        lines += ["```bash", f"contrast reproduce {task} --json results.json", "```", ""]
        for number, result in enumerate(results):
            lines += [f"## {markdown(result['corpus'])}", "", markdown_table(result), ""]
            for figure, about in ((dots, "Each seed of each arm"), (curves, "Over training")):
                lines += figures(
                    pages, f"{name.removesuffix('.md')}_{number}_{figure.__name__}", about, result, figure
                )
            overview.append(overview_row(task, name.partition("/")[2], result))
        pages[name] = "\n".join(lines)
    pages["claims/index.md"] = CLAIMS + "\n".join(markdown_links(overview))
    return pages


def markdown_links(rows: list[list[str]]) -> list[str]:
    """A table whose first column holds Markdown already."""
    first, *others = rows
    lines = markdown_rows([first, *[["", *row[1:]] for row in others]])
    return lines[:2] + [
        f"| {row[0]} |{line.partition('|')[2].partition('|')[2]}"
        for row, line in zip(others, lines[2:], strict=True)
    ]


def overview_row(task: str, page: str, result: Mapping) -> list[str]:
    primary = result["primary_metric"]
    means = {name: arm[primary]["mean"] for name, arm in result["arms"].items()}
    finite = {name: mean for name, mean in means.items() if mean is not None and math.isfinite(mean)}
    best = max(finite, key=finite.get) if finite else None
    reached = mean_and_spread(result["arms"][best][primary]["values"]) if best else "n/a"
    claims = [verdict == "holds" for kind, verdict, _ in verdicts(result) if kind == "claim"]
    held = f"{sum(claims)} of {len(claims)}" if claims else ""
    minutes = f"{result['seconds'] / 60:.0f} min"
    return [f"[{task}]({page})", result["corpus"], best or "", f"{primary} {reached}", held, minutes]


def figures(pages, stem: str, about: str, result: Mapping, draw) -> list[str]:
    """Adds a figure in the inks of both themes to `pages`; the lines that show it, or none."""
    lines = []
    for theme, ink in INKS.items():
        svg = as_svg(draw, result, ink)
        if svg is None:
            return []
        pages[f"{stem}_{theme}.svg"] = svg
        lines.append(f"![{about}]({stem.partition('/')[2]}_{theme}.svg#only-{theme})")
    return [f"### {about}", "", *lines, ""]


def as_svg(draw, result: Mapping, ink: str) -> bytes | None:
    """What `draw(result)` draws, in this ink, on no ground; alike each time."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    colors = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style = dict.fromkeys(colors, ink)
    style |= {
        "svg.hashsalt": "contrast",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    style |= {"grid.color": ink, "grid.alpha": 0.15, "legend.frameon": False}
    with mpl.rc_context(style):
        figure = draw(result)
        if figure is None:
            return None
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    return buffer.getvalue()


def dots(result: Mapping):
    """The primary metric of every seed, an arm a line; baselines as broken lines."""
    import matplotlib.pyplot as plt

    primary, arms = result["primary_metric"], list(result["arms"])
    figure, axis = plt.subplots(figsize=(7, 0.7 + 0.27 * len(arms)))
    for line, name in enumerate(arms):
        values = [value for value in result["arms"][name][primary]["values"] if value is not None]
        mean = result["arms"][name][primary]["mean"]
        axis.scatter(values, [line] * len(values), s=18, alpha=0.6, color="C0", linewidths=0)
        if mean is not None:
            axis.scatter([mean], [line], s=90, marker="|", color="C1", linewidths=2)
    styles = ("--", ":", "-.", (0, (1, 3)))
    baselines = {name: values[primary] for name, values in result["baselines"].items() if primary in values}
    for number, (name, value) in enumerate(baselines.items()):
        if value is not None and math.isfinite(value):
            axis.axvline(value, linestyle=styles[number % len(styles)], color="0.5", linewidth=1, label=name)
    axis.set_yticks(range(len(arms)), arms)
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.set_xlabel(f"{primary}: dots are seeds, bars their mean")
    axis.grid(axis="x")
    if baselines:
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    return figure


def curves(result: Mapping):
    """A panel a curve: the mean over seeds of each arm, and the range between them."""
    import matplotlib.pyplot as plt
    import numpy as np

    names = list(dict.fromkeys(name for arm in result["curves"].values() for name in arm))
    if not names:
        return None
    figure, axes = plt.subplots(1, len(names), figsize=(4.5 * len(names) + 1, 3.2), squeeze=False)
    palette = plt.get_cmap("tab20" if len(result["curves"]) > 10 else "tab10")
    for axis, name in zip(axes[0], names, strict=True):
        for number, (arm, curves_of_arm) in enumerate(result["curves"].items()):
            runs = [np.array(run, dtype="float64") for run in curves_of_arm.get(name, ()) if len(run)]
            if not runs:
                continue
            shortest = min(len(run) for run in runs)
            values = np.stack([run[:shortest] for run in runs])
            steps, color = np.arange(1, shortest + 1), palette(number % palette.N)
            axis.plot(steps, values.mean(axis=0), color=color, label=arm, linewidth=1.4)
            axis.fill_between(
                steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0
            )
        axis.set(title=name, xlabel="epoch" if "every" not in name else "measurement")
        axis.grid()
    handles = {}
    for axis in axes[0]:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(0.92, 0.9), fontsize=8)
    return figure


def benchmark_pages() -> dict[str, str | bytes]:
    """A page for each result of a benchmark, `NAME.json` with `NAME.md` and perhaps `NAME.svg` beside it."""
    pages: dict[str, str | bytes] = {}
    rows = [["benchmark", "what it measures"]]
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        source = script.read_text(encoding="utf-8")
        if "__main__" not in source:  # a part of other benchmarks
            continue
        text = ast.get_docstring(ast.parse(source)) or ""
        summary = " ".join(text.partition("\n\n")[0].split())
        results = sorted((ROOT / "benchmarks").glob(f"**/{script.stem}*.json"))
        rows.append([f"[{script.stem}]({script.stem}.md)" if results else script.stem, summary])
        if not results:
            continue
        command = f"python benchmarks/{script.name}"
        lines = [f"# {script.stem}", "", text, ""]
        if command not in text:
            lines += ["```bash", command, "```", ""]
        for path in results:
            lines += result_lines(path, pages)
        pages[f"benchmarks/{script.stem}.md"] = "\n".join(lines)
    pages["benchmarks/index.md"] = BENCHMARKS + "\n".join(markdown_links(rows))
    return pages


def result_lines(path: Path, pages: dict[str, str | bytes]) -> list[str]:
    """One result: its table, its figure, and where it was measured."""
    content = json.loads(path.read_text(encoding="utf-8"))
    lines = [f"## {path.stem}", ""]
    table, figure = path.with_suffix(".md"), path.with_suffix(".svg")
    if table.exists():
        lines += [table.read_text(encoding="utf-8"), ""]
    if figure.exists():
        pages[f"benchmarks/{figure.name}"] = figure.read_bytes()
        lines += [f"![{path.stem}]({figure.name}){{ .on-white }}", ""]
    machine = content.get("machine") if isinstance(content, dict) else None
    if machine:
        about = ", ".join(f"{name} {value}" for name, value in machine.items())
        lines += [f"Measured on: {about}.", ""]
    if not table.exists():
        lines += ["```json", json.dumps(content, indent=1), "```", ""]
    return lines
