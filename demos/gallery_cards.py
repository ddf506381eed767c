"""The cards of the gallery: what a task does, what was measured, and whether its models are kept already."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from applications import registry
from applications.cache_folder import cache_folder, in_words, is_kept, kept_files, size
from applications.registry import Application
from applications.tables import mean_and_spread, number

PICTURES = Path(__file__).parent / "gallery_pictures"
RESULTS = Path(registry.__file__).parent


@dataclass(frozen=True)
class Measured:
    """What is shown of the results of a task.

    Args:
        checks: of all its experiments: kind, whether it holds, what was checked.
        metric: name of the primary metric.
        corpus: what it was measured on.
        rows: name, value as text, value, whether it is a baseline.
    """

    checks: tuple[tuple[str, bool, str], ...]
    metric: str
    corpus: str
    rows: tuple[tuple[str, str, float, bool], ...]

    @property
    def claims(self) -> list[bool]:
        """Of each claim whether it holds; observations do not count."""
        return [holds for kind, holds, _ in self.checks if kind == "claim"]


def tasks(rows: Sequence[Application] | None = None) -> list[list[Application]]:
    """The rows of the registry that are built, those of one task together.

    Args:
        rows: of the registry; all if not given.
    """
    together: dict[str, list[Application]] = {}
    for row in registry.APPLICATIONS if rows is None else rows:
        if row.state == "ready":
            together.setdefault(row.task, []).append(row)
    return list(together.values())


def measured(task: str, folder: Path = RESULTS) -> Measured | None:
    """The committed results of a task; `None` if there are none.

    The first experiment with a claim gives the numbers. Of the arms that its claims name, or of all if they
    name fewer than two, the best and the worst mean are shown, and the best of what needs no training.

    Args:
        task: a task of the registry.
        folder: with a folder for each task, in which results lie as JSON.
    """
    results = [result for file in sorted((folder / task).glob("*.json")) for result in _results(file)]
    with_claims = [result for result in results if _claims(result)]
    if not with_claims:
        return None
    result = with_claims[0]
    metric = result["primary_metric"]
    means = {arm: values[metric]["mean"] for arm, values in result["arms"].items()}
    means = {arm: mean for arm, mean in means.items() if mean is not None}
    named = [arm for arm in means if any(arm in words for words in _claims(result))]
    order = sorted(named if len(named) > 1 else means, key=lambda arm: -means[arm])
    rows = [
        (arm, mean_and_spread(result["arms"][arm][metric]["values"]), means[arm], False)
        for arm in dict.fromkeys((*order[:1], *order[-1:]))
    ]
    untrained = {name: values.get(metric) for name, values in result["baselines"].items()}
    untrained = {name: value for name, value in untrained.items() if value is not None}
    if untrained:
        best = max(untrained, key=untrained.get)
        rows.append((best, number(untrained[best]), untrained[best], True))
    checks = [(check["kind"], check["holds"], check["text"]) for one in results for check in one["checks"]]
    return Measured(tuple(checks), metric, result["corpus"], tuple(rows))


def _claims(result: Mapping) -> list[str]:
    return [check["text"] for check in result["checks"] if check["kind"] == "claim"]


def _results(file: Path) -> list[Mapping]:
    """The results in a JSON file that `contrast reproduce` wrote, without such as only show that it runs."""
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, list):
        return []
    return [result for result in found if "primary_metric" in result and not result.get("fast")]


def cards() -> str:
    """HTML of all cards, as things are now."""
    return f'<ul class="cards-of-gallery">{"".join(_card(rows) for rows in tasks())}</ul>'


def cache_line() -> str:
    """Markdown on the folder in which models are kept, as it is now."""
    folder = cache_folder()
    files = kept_files(folder)
    shown = f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)
    return (
        f"Trained models and drawn data are kept in `{shown}` ({in_words(len(files), size(files))}); "
        "`CONTRAST_CACHE` names another folder. `contrast demo --clear-cache` deletes them; they are made "
        "again when a page is next opened."
    )


def _card(rows: Sequence[Application]) -> str:
    row, text = rows[0], html.escape
    demo = next((one.demo for one in rows if one.demo), None)
    title = text(title_of(row.task))
    models = ", ".join(dict.fromkeys(one.model_name for one in rows))
    parts = [
        f'<h2 id="card-{row.task}">{title}</h2>',
        f"<p>{text(row.summary)}</p>",
        f'<p class="models">{text(models)}, on {text(row.modality)}</p>',
        _measured_part(measured(row.task)),
    ]
    if demo is None:
        parts.append(
            '<p class="foot"><span class="kept">No page yet. In a terminal: '
            f"<code>contrast reproduce {text(row.task)}</code></span></p>"
        )
    else:
        name = demo.partition(":")[0].rpartition(".")[2]
        kept = "opens in seconds" if is_kept(name) else "trains at first opening"
        parts.append(
            f'<p class="foot"><a class="open" href="./{row.task}/" aria-label="Open {title}">Open the page'
            f'</a> <span class="kept">{kept}</span></p>'
        )
    return f'<li>{_picture(row.task)}<div class="words">{"".join(parts)}</div></li>'


def title_of(task: str) -> str:
    """`"face_naming"` as people write it."""
    return task.replace("_", " ").capitalize()


def _picture(task: str) -> str:
    """A picture within the page; a task without one goes without."""
    file = PICTURES / f"{task}.webp"
    if not file.is_file():
        return ""
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="" width="640" height="400">'


def _measured_part(found: Measured | None) -> str:
    if found is None:
        return '<p class="verdict">Not measured yet</p>'
    claims = found.claims
    if len(claims) == 1:
        words = "The claim holds" if all(claims) else "The claim does not hold"
    elif all(claims):
        words = f"All {len(claims)} claims hold"
    else:
        words = f"{sum(claims)} of {len(claims)} claims hold"
    full = max(1.0 if max(row[2] for row in found.rows) <= 1 else 100.0, *(row[2] for row in found.rows))
    rows = "".join(
        f"<dt>{html.escape(name)}{' (no training)' if plain else ''}</dt>"
        f'<dd class="{"baseline" if plain else "arm"}"><span class="track" aria-hidden="true">'
        f'<span style="width: {100 * max(0, value) / full:.1f}%"></span></span>'
        f'<span class="number">{html.escape(shown)}</span></dd>'
        for name, shown, value, plain in found.rows
    )
    checks = "".join(
        f"<li>{_mark(holds)} {html.escape(kind)}: {html.escape(checked)}</li>"
        for kind, holds, checked in found.checks
    )
    return (
        f'<p class="verdict {"holds" if all(claims) else "fails"}">{_mark(all(claims))} {words}</p>'
        f'<p class="on"><code>{html.escape(found.metric)}</code> on {html.escape(found.corpus)}</p>'
        f'<dl class="measured">{rows}</dl>'
        f"<details><summary>What was checked</summary><ul>{checks}</ul></details>"
    )


def _mark(holds: bool) -> str:
    """A sign, and for those who cannot see it a word."""
    word = "holds" if holds else "does not hold"
    return f'<span role="img" aria-label="{word}">{"✓" if holds else "✗"}</span>'
