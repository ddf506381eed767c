"""What the page of report generation draws: radiographs, what sentences looked at, curves."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from applications.report_generation.study import View
from demos.figures import BLUE, ORANGE, drawn

FILM, SMALL, CARD = 208, 104, 150  # pixels a side
NAMES = {"PA": "frontal, PA", "AP": "frontal, AP", "LATERAL": "lateral", "LL": "lateral, LL"}
_HEAT = np.array([255, 120, 0], "float32")


def name(view: View) -> str:
    """The position of a view in words."""
    return NAMES.get(view.position, "position unknown")


def film(view: View, side: int = FILM) -> str:
    """A view as `<img>`."""
    return _img(_grey(view, side), f"Radiograph, {name(view)}")


def heated(view: View, heat: np.ndarray, side: int = SMALL) -> str:
    """A view as `<img>`, orange where `heat` `(rows, columns)` is high."""
    low, high = float(heat.min()), float(heat.max())
    scaled = (heat - low) / (high - low) if high > low else np.zeros(heat.shape)
    mask = Image.fromarray(scaled.astype("float32")).resize((side, side), Image.Resampling.BILINEAR)
    strength = 0.75 * np.asarray(mask)[..., None]
    grey = np.asarray(_grey(view, side).convert("RGB"), "float32")
    mixed = Image.fromarray(((1 - strength) * grey + strength * _HEAT).clip(0, 255).astype("uint8"))
    return _img(mixed, f"Where the sentence looked, {name(view)}")


def draw_loss(history: Mapping[str, Sequence[float]], dark: bool) -> Image.Image:
    """The losses of both stages."""

    def plot(axis, ink):
        for values, colour, label, style in (
            (history["alignment_loss"], ORANGE[dark], "stage 1: images find their facts", "-"),
            (history["view_loss"], ORANGE[dark], "stage 1: views find each other", ":"),
            (history["loss"], BLUE[dark], "stage 2: reports", "-"),
        ):
            epochs = range(1, len(values) + 1)
            axis.plot(epochs, values, color=colour, linestyle=style, linewidth=2.2, label=label)
        axis.set_ylim(0)
        axis.legend(frameon=False, labelcolor=ink)

    return drawn("Training loss", dark, plot)


def draw_f1(values: Sequence[float], every: int, lines: Mapping[str, float], dark: bool) -> Image.Image:
    """Clinical F1 on patients that are not trained on, over the epochs of stage 2, between dashed lines.

    Args:
        values: of each epoch; measured in every `every`-th one.
        every: see there.
        lines: name and height of the lines.
        dark: for a dark page.
    """
    measured = list(values)[every - 1 :: every]

    def plot(axis, ink):
        epochs = [every * (place + 1) for place in range(len(measured))]
        axis.plot(epochs, measured, color=BLUE[dark], marker="o", linewidth=2.5)
        for title, height in lines.items():
            axis.axhline(height, color=ink, linestyle="--", linewidth=1.2)
            # where the curve, which begins low, is not
            place, side = (epochs[-1], "right") if height < 0.2 else (epochs[0], "left")
            axis.text(place, height + 0.015, f"{title}: {height:.2f}", color=ink, ha=side)
        axis.set_xlim(0)
        axis.set_ylim(0, 1)

    return drawn("Clinical F1 on unseen patients", dark, plot)


def _grey(view: View, side: int) -> Image.Image:
    image = view.image
    if image.dtype != np.uint8:
        image = (image * 255).round().astype("uint8")
    return Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)


def _img(picture: Image.Image, description: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "webp", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    side = picture.size[0]
    return (
        f'<img src="data:image/webp;base64,{data}" width="{side}" height="{side}" '
        f'alt="{html.escape(description)}">'
    )
