"""What the page of anomaly detection draws: small pictures made visible, heat maps, scores, progress."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

from demos.anomaly_detection_training import Progress

SIDE = 160  # pixels of a small picture
BINS = 24


def shown(pictures: np.ndarray, side: int = SIDE) -> list[np.ndarray]:
    """Pictures `(count, height, width, channels)` from 0 to 1 as RGB, `side` pixels at the longer side."""
    height, width = pictures.shape[1:3]
    scale = side / max(height, width)
    size = (round(width * scale), round(height * scale))
    pixels = (np.clip(pictures, 0, 1) * 255).round().astype("uint8")
    pixels = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
    return [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in pixels]


def draw_heat(picture: np.ndarray, heat: np.ndarray, threshold: float, side: int = 384) -> np.ndarray:
    """The picture with its heat laid over: nothing where it is normal, red at the threshold and above.

    Args:
        picture: `(height, width, channels)` from 0 to 1.
        heat: `(height, width)`, 1 minus the score of each place.
        threshold: of scores.
        side: of the drawing, in pixels.

    Returns:
        `(.., .., 3)` uint8.
    """
    limit = max(1 - threshold, 1e-6)
    share = np.clip((heat / limit - 0.5) / 0.5, 0, 1)  # the lower half of what is normal stays clear
    height, width = heat.shape
    scale = side / max(height, width)
    size = (round(width * scale), round(height * scale))
    share = np.asarray(Image.fromarray(share.astype("float32")).resize(size, Image.Resampling.BILINEAR))
    base = shown(picture[None], side)[0]
    colour = matplotlib.colormaps["autumn_r"](share)[..., :3] * 255
    strength = 0.6 * share[..., None]
    return (base * (1 - strength) + colour * strength).round().astype("uint8")


def oddest_place(heat: np.ndarray, patch: tuple[int, int]) -> tuple[slice, slice]:
    """Where a patch of this size lies around the hottest pixel of a map."""
    place = np.unravel_index(np.argmax(heat), heat.shape)
    starts = [
        int(np.clip(centre - side // 2, 0, length - side))
        for centre, side, length in zip(place, patch, heat.shape, strict=True)
    ]
    return tuple(slice(start, start + side) for start, side in zip(starts, patch, strict=True))


def histogram(held_out: np.ndarray, threshold: float, score: float | None) -> str:
    """HTML of the scores of held-out normal pictures, with the threshold and the score of this picture."""
    values = [*held_out, threshold, *([] if score is None else [score])]
    low, high = float(min(values)), float(max(values))
    margin = 0.04 * max(high - low, 1e-3)
    low, high = low - margin, min(high + margin, max(high, 1.0))
    counts, edges = np.histogram(held_out, BINS, (low, high))

    def place(value):
        return 100 * (value - low) / (high - low)

    bars = "".join(
        f'<div class="bar" style="left:{place(edge):.2f}%;width:{90 / BINS:.2f}%;'
        f'height:{90 * count / counts.max():.1f}%" title="{count} normal pictures"></div>'
        for edge, count in zip(edges, counts, strict=False)
        if count
    )
    lines = _line(place(threshold), "line", f"threshold {threshold:.3f}", "threshold")
    if score is not None:
        lines += _line(place(score), "mark", f"this picture {score:.3f}", "this above")
    return (
        f'<div class="histogram"><div class="plot" role="img" aria-label="Scores of {len(held_out)} held-out '
        f'normal pictures">{bars}{lines}</div><div class="axis"><span>{low:.3f} ← odder</span>'
        f'<span>more normal → {high:.3f}</span></div><div class="caption">Scores of {len(held_out)} held-out '
        "normal pictures</div></div>"
    )


def _line(place: float, kind: str, text: str, classes: str) -> str:
    side = " left" if place > 50 else ""
    return (
        f'<div class="{kind}" style="left:{place:.2f}%"></div>'
        f'<div class="label {classes}{side}" style="left:{place:.2f}%">{text}</div>'
    )


def progress(state: Progress | None, text: str) -> str:
    """HTML of a bar, the loss so far and a sentence, which is text and never markup of a user."""
    share = 0 if state is None else len(state.loss) / state.epochs
    curve = "" if state is None or len(state.loss) < 2 else _curve(state.loss, state.epochs)
    return (
        f'<div class="progress">{text}<div class="track"><div class="done" style="width:{100 * share:.1f}%">'
        f"</div></div>{curve}</div>"
    )


def _curve(loss: Sequence[float], epochs: int) -> str:
    low, high = min(loss), max(loss)
    points = " ".join(
        f"{100 * epoch / max(1, epochs - 1):.2f},{38 - 36 * (value - low) / max(high - low, 1e-9):.2f}"
        for epoch, value in enumerate(loss)
    )
    return (
        '<svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label="Loss of each epoch">'
        f'<polyline points="{points}"/></svg>'
    )
