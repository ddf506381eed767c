"""What the page of sign translation draws: moving signers, what words looked at, curves."""

import base64
import functools
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from applications.sign_translation.formats import SignedClip
from applications.sign_translation.renderer import render
from demos.figures import BLUE, ORANGE, drawn

MILLISECONDS = 80  # of a frame: half the speed of signing


@functools.lru_cache(maxsize=64)
def signer(clip: SignedClip, side: int = 160) -> str:
    """A rendered clip as an `<img>` that moves, larger and more colourful than the model sees it."""
    frames = render(clip.joints, size=side, channels=3)
    return moving(frames, side, "A rendered person signs a sentence")


def moving(frames: np.ndarray, side: int, description: str) -> str:
    """Frames `(frames, height, width, channels)` uint8 as an `<img>` that moves."""
    pictures = [_picture(frame, side) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="webp",
        save_all=True,
        append_images=pictures[1:],
        duration=MILLISECONDS,
        loop=0,
        quality=75,
        method=2,
    )
    return _img(buffer.getvalue(), "webp", description)


def attention(words: Sequence[str], weights: np.ndarray, frames: np.ndarray) -> str:
    """HTML of a table: for each word, below the frames, how much it looked at them.

    Args:
        words: of the sentence, its end included.
        weights: `(words, clip tokens)`; clip token j is centred on frame 4j.
        frames: `(frames, height, width, channels)` uint8.
    """
    places = np.minimum(4 * np.arange(weights.shape[1]), len(frames) - 1)
    heads = "".join(
        f"<div>{_img(_png(frames[place]), 'png', f'frame {place + 1}')}</div>" for place in places
    )
    numbers = "".join(f"<div>{place + 1}</div>" for place in places)
    rows = [f'<div class="word"></div>{heads}<div class="word">frame</div>{numbers}']
    for word, row in zip(words, weights, strict=True):
        cells = "".join(
            f'<div class="cell" style="--strength:{100 * weight / row.max():.0f}%" '
            f'title="{html.escape(word)}, frame {place + 1}: {weight:.0%}"></div>'
            for weight, place in zip(row, places, strict=True)
        )
        rows.append(f'<div class="word">{html.escape(word)}</div>{cells}')
    return (
        f'<div class="scroll"><div class="attention" role="img" aria-label="What each word looked at" '
        f'style="--columns:{len(places)}">{"".join(rows)}</div></div>'
    )


def draw_loss(history: Mapping[str, Sequence[float]], dark: bool) -> Image.Image:
    """The losses of stage 1 and stage 2."""

    def plot(axis, ink):
        for values, colour, label, style in (
            (history["contrast_loss"], ORANGE[dark], "stage 1: clips find sentences", "-"),
            (history["restoration_loss"], ORANGE[dark], "stage 1: masked words restored", ":"),
            (history["loss"], BLUE[dark], "stage 2: translation", "-"),
        ):
            axis.plot(
                range(1, len(values) + 1), values, color=colour, linestyle=style, linewidth=2.2, label=label
            )
        axis.set_ylim(0)
        axis.legend(frameon=False, labelcolor=ink)

    return drawn("Training loss", dark, plot)


def draw_bleu(values: Sequence[float], every: int, lines: Mapping[str, float], dark: bool) -> Image.Image:
    """BLEU-4 on clips that are not trained on, over the epochs of stage 2, between dashed lines.

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
        for name, height in lines.items():
            axis.axhline(height, color=ink, linestyle="--", linewidth=1.2)
            axis.text(epochs[-1], height - 1, f"{name}: {height:.0f}", color=ink, ha="right", va="top")
        axis.set_xlim(0)
        axis.set_ylim(0, 100)

    return drawn("BLEU-4 on unseen clips", dark, plot)


def _picture(frame: np.ndarray, side: int) -> Image.Image:
    pixels = np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3)))
    picture = Image.fromarray(pixels)
    return picture if picture.size == (side, side) else picture.resize((side, side), Image.Resampling.NEAREST)


def _png(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).save(buffer, "png")
    return buffer.getvalue()


def _img(content: bytes, kind: str, description: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<img src="data:image/{kind};base64,{data}" alt="{html.escape(description)}">'
