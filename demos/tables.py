"""Tables of texts that a model wrote or found, and how they look."""

import html
import math
from collections.abc import Sequence

import numpy as np

from demos.words import ordinal

NO_WORDS = "(no words)"

# to be added to the CSS of a page with such tables
TABLES = """
.answers {width: 100%; border: 0 !important; border-collapse: collapse; font-size: .9rem;
  color: var(--body-text-color)}
.answers th {text-align: left; font-weight: 600; font-size: .8rem}
.answers td, .answers th {padding: 4px 8px 4px 0; border: 0;
  border-bottom: 1px solid var(--border-color-primary); vertical-align: top}
.answers tr {border: 0}
.answers .number {text-align: right; white-space: nowrap; width: 1%; padding-right: 14px;
  font-variant-numeric: tabular-nums}
.answers .right td {font-weight: 600; background: color-mix(in srgb, #12b76a 16%, transparent)}
.rank {margin: 0 0 6px; font-size: .95rem; color: var(--body-text-color)}
.scroll {overflow-x: auto}
"""


def kept(alternatives: Sequence[tuple[str, float]], noun: str) -> str:
    """HTML table of the texts that a beam search kept, with the mean probability of their words.

    Args:
        alternatives: pairs of a text and the mean log-probability of its words, best first.
        noun: what the texts are, such as `"reports"`.
    """
    rows = "".join(
        f'<tr><td class="number">{math.exp(score):.0%}</td><td>{html.escape(text or NO_WORDS)}</td></tr>'
        for text, score in alternatives
    )
    return (
        f'<table class="answers"><thead><tr><th class="number">per word</th><th>{noun} that beam search '
        f"kept, best first</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def ranked(similarities: np.ndarray, texts: Sequence[str], own: Sequence[bool], most: int, noun: str) -> str:
    """HTML table of the texts that are most like something, and of the first one of its own.

    Args:
        similarities: cosines `(texts,)`.
        texts: what is searched.
        own: which of them are the right answer, at least one.
        most: how many are shown; the first of its own as well where it comes later.
        noun: what the texts are, such as `"report"`.
    """
    order = np.argsort(-similarities, kind="stable")
    rank = next(number for number, one in enumerate(order, 1) if own[one])
    shown = list(enumerate(order[:most], 1))
    if rank > most:
        shown.append((rank, order[rank - 1]))
    rows = "".join(
        f'<tr class="{"right" if own[one] else ""}"><td class="number">{number}</td>'
        f'<td class="number">{similarities[one]:.2f}</td>'
        f"<td>{'✓ its own: ' if own[one] else ''}{html.escape(texts[one])}</td></tr>"
        for number, one in shown
    )
    return (
        f'<p class="rank">Its own {noun} comes <b>{ordinal(rank)} of {len(order)}</b>.</p>'
        '<table class="answers"><thead><tr><th class="number">rank</th><th class="number">cosine</th>'
        f"<th>{noun}</th></tr></thead><tbody>{rows}</tbody></table>"
    )
