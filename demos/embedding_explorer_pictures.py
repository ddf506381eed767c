"""What the embedding explorer draws: maps as SVG that can be clicked, and digits."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from demos.embedding_explorer_answers import Found, agreement
from demos.embedding_explorer_model import Explorer

SHADES = 5  # of agreement, from none to all
_SIDE, _MARGIN = 1000, 30

# The place of the nearest mark, or of a button, goes to the server; a tap need not hit a mark.
PICK = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-place]');
  if (button) { trigger('select', {place: Number(button.dataset.place)}); return; }
  const svg = event.target.closest('svg');
  if (!svg) return;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  let best = null, least = 60 * 60;
  for (const mark of svg.querySelectorAll('text[data-place]')) {
    const far = (mark.getAttribute('x') - at.x) ** 2 + (mark.getAttribute('y') - at.y) ** 2;
    if (far < least) { least = far; best = mark; }
  }
  if (best) trigger('select', {place: Number(best.dataset.place)});
});
"""


def draw_map(
    explorer: Explorer, space: str, kind: str, shades: np.ndarray | None, place: int, found: Found
) -> str:
    """A map as SVG: each shown digit as a figure at its place.

    Args:
        explorer: what is shown.
        space: one of `SPACES`.
        kind: one of `MAPS`.
        shades: colours the digits by these numbers from 0 to 1; `None`: by class.
        place: the digit that is looked at, in a ring.
        found: its neighbours, with lines to them.
    """
    points = _MARGIN + (_SIDE - 2 * _MARGIN) * explorer.spaces[space].maps[kind]
    points = points.round().astype(int)
    labels = explorer.digits.labels
    if shades is None:
        colours = [f"c{label}" for label in labels]
    else:
        colours = [f"a{min(int(share * SHADES), SHADES - 1)}" for share in shades]
    x, y = points[place]
    lines = "".join(
        f'<line x1="{x}" y1="{y}" x2="{points[other][0]}" y2="{points[other][1]}"/>' for other in found.places
    )
    near = set(found.places.tolist())
    marks = "".join(
        f'<text data-place="{number}" x="{left}" y="{top}" class="{colour}{" near" * (number in near)}">'
        f"{label}</text>"
        for number, ((left, top), label, colour) in enumerate(zip(points, labels, colours, strict=True))
    )
    return (
        f'<svg class="map" viewBox="0 0 {_SIDE} {_SIDE}" role="img" '
        f'aria-label="{kind} map of {len(labels)} digits in the space of {space}">'
        f'{lines}{marks}<circle cx="{x}" cy="{y}" r="24"/></svg>'
    )


def shades_of(explorer: Explorer, space: str, colour: str, k: int) -> np.ndarray | None:
    """What a map is coloured by: `None` for the classes."""
    return None if colour == "digit" else agreement(explorer, space, k)


def legend(colour: str) -> str:
    """What the colours of a map mean."""
    if colour == "digit":
        marks = "".join(f'<span class="c{name}">{name}</span>' for name in range(10))
        return f'<div class="legend">{marks}</div>'
    steps = "".join(f'<span class="a{step}">■</span>' for step in range(SHADES))
    return f'<div class="legend">none of the nearest agree {steps} all agree</div>'


def chosen(explorer: Explorer, place: int) -> str:
    """The digit that is looked at."""
    return f'<div class="chosen">{picture(explorer.digits.shown[place], "The chosen digit")}</div>'


def strip(explorer: Explorer, found: Found) -> str:
    """Neighbours as buttons, each with its class and its distance."""
    labels, shown = explorer.digits.labels, explorer.digits.shown
    cards = "".join(
        f'<button data-place="{place}" title="Look at this one">{picture(shown[place], f"A {labels[place]}")}'
        f'<span><b class="c{labels[place]}">{labels[place]}</b> {distance:.3f}</span></button>'
        for place, distance in zip(found.places, found.distances, strict=True)
    )
    return f'<div class="strip">{cards}</div>'


def own(image: np.ndarray, words: str, neighbours: str) -> str:
    """A visitor's picture as it was read, what is said of it, and its neighbours."""
    return (
        f'<div class="own"><div class="chosen">{picture(image, "Your picture as it was read")}</div>'
        f"<div><p>{words}</p>{neighbours}</div></div>"
    )


def picture(image: np.ndarray, description: str) -> str:
    """An image `(28, 28, 1)` from 0 to 1 as `<img>`."""
    buffer = io.BytesIO()
    Image.fromarray((image[..., 0] * 255).round().astype("uint8")).save(buffer, "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{description}">'
