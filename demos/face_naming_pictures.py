"""What the face naming page draws: named faces, the table of scores, the curves of the training."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from applications.face_naming.formats import NONAME, CaptionedPhoto, NamedPhoto
from demos.face_naming_answers import shown_name
from demos.figures import BLUE, ORANGE, drawn

# dark enough for white letters, told apart with defective colour vision; after eight names they repeat
PALETTE = ("#0072b2", "#b8500a", "#007a5e", "#a8327f", "#6b4fbb", "#806400", "#00758a", "#bd2237")
NOBODY = "#5f6672"

WIDTH, TALLEST = 760, 1520  # pixels of a drawn photo
CELL, ROW, HEAD, THUMB, EDGE = (
    118,
    76,
    48,
    76,
    62,
)  # pixels of the score table; a button lies over its right edge
GAP = 6


def colours(names: Sequence[str]) -> dict[str, str]:
    """One colour a name, and grey for `NONAME`."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(names)} | {NONAME: NOBODY}


def draw_photo(photo: CaptionedPhoto, names: Sequence[str], palette: Mapping[str, str]) -> np.ndarray:
    """The photo with a box and a name for each face; dashed boxes for faces without a name.

    Returns:
        `(height, 760, 3)` uint8; less wide where it would be more than 1520 high.
    """
    height, width = photo.image.shape[:2]
    scale = min(WIDTH / width, TALLEST / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(photo.image).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    brush = ImageDraw.Draw(picture)
    for number, (box, name) in enumerate(zip(photo.boxes * scale, names, strict=True), start=1):
        left, top, right, bottom = box.tolist()
        if name == NONAME:
            _dashed(brush, (left, top, right, bottom), "#ffffff", NOBODY)
        else:
            brush.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline="#ffffff", width=9)
            brush.rectangle((left, top, right, bottom), outline=palette[name], width=5)
        _label(brush, f"{number} {shown_name(name)}", (left, top, bottom), picture.size, palette[name])
    return np.asarray(picture)


def draw_scores(photo: CaptionedPhoto, decided: NamedPhoto, palette: Mapping[str, str]) -> np.ndarray:
    """Heat map of the scores, a row for each face, a column for each candidate; the chosen cell is framed.

    Returns:
        `(height, width, 4)` uint8, transparent around the cells, so that it fits light and dark pages.
    """
    faces, candidates = decided.scores.shape
    size = (THUMB + GAP + candidates * CELL + EDGE, HEAD + GAP + max(1, faces) * ROW + GAP)
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    brush = ImageDraw.Draw(picture)
    for column, name in enumerate(decided.candidates):
        left = THUMB + GAP + column * CELL
        brush.rounded_rectangle((left + 3, 2, left + CELL - 4, HEAD - 2), 8, fill=palette[name])
        centre = (left + CELL / 2, HEAD / 2)
        brush.text(centre, shown_name(name), "#ffffff", _font(21), anchor="mm")
    low, high = (decided.scores.min(), decided.scores.max()) if faces else (0, 0)
    shades = matplotlib.colormaps["cividis"]((decided.scores - low) / max(high - low, 1e-9), bytes=True)
    for face in range(faces):
        top = HEAD + GAP + face * ROW
        picture.paste(_thumbnail(photo.faces[face]), (2, top + 3))
        brush.text((8, top + 6), str(face + 1), "#ffffff", _font(20))
        for column, name in enumerate(decided.candidates):
            left = THUMB + GAP + column * CELL
            shade = tuple(shades[face, column, :3].tolist())
            cell = (left + 3, top + 3, left + CELL - 4, top + ROW - 4)
            brush.rounded_rectangle(cell, 8, fill=shade)
            ink = "#000000" if np.dot(shade, (0.299, 0.587, 0.114)) > 128 else "#ffffff"
            chosen = name == decided.names[face]
            if chosen:
                brush.rounded_rectangle(cell, 8, outline="#ffffff", width=7)
                brush.rounded_rectangle(
                    (cell[0] - 2, cell[1] - 2, cell[2] + 2, cell[3] + 2), 9, None, "#000000", 4
                )
            text = f"{decided.scores[face, column]:.2f}"
            brush.text(
                (left + CELL / 2, top + ROW / 2), f"✓ {text}" if chosen else text, ink, _font(22), anchor="mm"
            )
    return np.asarray(picture)


def draw_loss(history: Mapping[str, Sequence[float]], dark: bool) -> Image.Image:
    """The loss of each epoch."""
    losses = history["loss"]

    def plot(axis, ink):
        axis.plot(range(1, len(losses) + 1), losses, color=BLUE[dark], marker="o", linewidth=2.5)

    return drawn("Training loss", dark, plot)


def draw_accuracy(
    history: Mapping[str, Sequence[float]], lines: Mapping[str, float], dark: bool
) -> Image.Image:
    """The face accuracy of each epoch on fitted and held-out photos, over trivial answers.

    Args:
        history: with `face_accuracy` and `val_face_accuracy`.
        lines: label and face accuracy of each trivial answer.
        dark: for a dark page.
    """
    curves = (
        ("face_accuracy", "fitted photos (transductive)", ORANGE[dark], "s"),
        ("val_face_accuracy", "held-out photos", BLUE[dark], "o"),
    )

    def plot(axis, ink):
        for name, label, colour, marker in curves:
            values = history[name]
            epochs = range(1, len(values) + 1)
            axis.plot(epochs, values, color=colour, marker=marker, linewidth=2.5, label=label)
        for label, value in lines.items():
            place = len(history["val_face_accuracy"])
            axis.axhline(value, color=ink, linestyle="--", linewidth=1.2)
            axis.text(place, value + 0.012, f"{label}: {value:.0%}", color=ink, ha="right", va="bottom")
        axis.set_ylim(0, 1)
        axis.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
        axis.legend(frameon=False, labelcolor=ink, loc="lower right", bbox_to_anchor=(1, 0.42))

    return drawn("Faces named rightly", dark, plot)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf", size
    )


def _thumbnail(face: np.ndarray) -> Image.Image:
    pixels = (face[..., 0].clip(0, 1) * 255).astype("uint8")
    return Image.fromarray(pixels).resize((THUMB - 6, ROW - 6), Image.Resampling.BICUBIC).convert("RGBA")


def _label(
    brush: ImageDraw.ImageDraw, text: str, at: tuple[float, float, float], size: tuple[int, int], fill: str
) -> None:
    """A name above its box, or below it where there is no room, inside the picture."""
    left, top, bottom = at
    font = _font(24)
    width, height = brush.textlength(text, font) + 16, 34
    left = min(max(0, left - 2), size[0] - width)
    top = top - height - 2 if top - height - 2 >= 0 else min(bottom + 2, size[1] - height)
    brush.rounded_rectangle((left, top, left + width, top + height), 6, fill=fill, outline="#ffffff", width=2)
    brush.text((left + width / 2, top + height / 2), text, "#ffffff", font, anchor="mm")


def _dashed(brush: ImageDraw.ImageDraw, box: Sequence[float], colour: str, gap: str, dash: int = 14) -> None:
    left, top, right, bottom = box
    brush.rectangle(box, outline=gap, width=5)
    for start in np.arange(left, right, 2 * dash):
        end = min(start + dash, right)
        brush.line((start, top + 2, end, top + 2), colour, 5)
        brush.line((start, bottom - 2, end, bottom - 2), colour, 5)
    for start in np.arange(top, bottom, 2 * dash):
        end = min(start + dash, bottom)
        brush.line((left + 2, start, left + 2, end), colour, 5)
        brush.line((right - 2, start, right - 2, end), colour, 5)
