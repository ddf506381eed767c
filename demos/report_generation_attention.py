"""What the sentences of a report looked at."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from applications.report_generation.mlrg import Report
from applications.report_generation.study import UNKNOWN_VIEW, Study
from applications.report_generation.text import ReportTokenizer
from demos import report_generation_pictures as pictures


@dataclass(frozen=True, eq=False)
class Look:
    """What a sentence looked at.

    Args:
        sentence: its text.
        maps: for each image, the anchor first, its patches `(rows, columns)`.
        shares: of the companions, how the look of the fusion divides between them; sums to 1.
    """

    sentence: str
    maps: tuple[np.ndarray, ...]
    shares: tuple[float, ...]


def looks(tokenizer: ReportTokenizer, found: Report, companions: int, shape: tuple[int, int]) -> list[Look]:
    """What each sentence of a report looked at.

    The decoder sees each token of the anchor twice: as projected, and as fused with its companions. Through
    the fused ones a sentence looks at what these tokens looked at.

    Args:
        tokenizer: of the report.
        found: with attention.
        companions: how many images beside the anchor there are.
        shape: rows and columns of the patches; the two tokens before them stand for the whole image.
    """
    count = found.attention.shape[1] // 2
    rows = []
    for text, places in _groups(tokenizer, found.tokens):
        weights = found.attention[places].mean(axis=0)
        projected, fused = weights[:count], weights[count:]
        maps = [(projected + fused)[2:].reshape(shape)]
        through = np.einsum("t,tcs->cs", fused / fused.sum(), found.companions[:, :companions])
        maps += [one[2:].reshape(shape) for one in through]
        shares = through.sum(axis=1) / through.sum() if companions else np.zeros(0)
        rows.append(Look(text, tuple(maps), tuple(map(float, shares))))
    return rows


def _groups(tokenizer: ReportTokenizer, tokens: Sequence[int]) -> list[tuple[str, list[int]]]:
    """The sentences of a report and the places of their tokens."""
    groups: list[list[int]] = [[]]
    for place, word in enumerate(tokenizer.decode([[token] for token in tokens])):
        if word:
            groups[-1].append(place)
        if word.endswith("."):
            groups.append([])
    return [(tokenizer.decode([[tokens[place] for place in group]])[0], group) for group in groups if group]


def looked(tokenizer: ReportTokenizer, study: Study, found: Report, shape: tuple[int, int]) -> str:
    """HTML: each sentence beside the images, orange where it looked."""
    images = study.images
    rows = []
    for look in looks(tokenizer, found, len(images) - 1, shape):
        cells = []
        for place, (view, heat) in enumerate(zip(images, look.maps, strict=True)):
            position = "unknown" if view.position == UNKNOWN_VIEW else view.position
            caption = f"before: {position}" if place >= len(study.views) else position
            if place:
                caption += f" · {look.shares[place - 1]:.0%}"
            cells.append(f"<figure>{pictures.heated(view, heat)}<figcaption>{caption}</figcaption></figure>")
        rows.append(f"<li><p>{html.escape(look.sentence)}</p><div>{''.join(cells)}</div></li>")
    return f'<ul class="looks">{"".join(rows)}</ul>'
