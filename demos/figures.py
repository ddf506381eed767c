"""Curves of a training, drawn for light and for dark pages."""

import io
from collections.abc import Callable

import gradio as gr
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

BLUE, ORANGE = ("#0072b2", "#56b4e9"), ("#b8500a", "#f0a050")  # for light, for dark pages

# to be added to the CSS of a page with themed figures
THEMED = """
.on-dark, .dark .on-light {display: none !important}
.dark .on-dark {display: flex !important}
"""


def drawn(title: str, dark: bool, plot: Callable[[Axes, str], None]) -> Image.Image:
    """A figure of something over epochs, with one axis on a transparent ground.

    Args:
        title: above it.
        dark: for a dark page.
        plot: gets the axis and the colour of texts, and draws.
    """
    ink = "#d8dbe2" if dark else "#30343c"
    figure = Figure(figsize=(5.6, 3.6), layout="constrained", facecolor="none")
    axis = figure.add_subplot(facecolor="none")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(ink)
    axis.tick_params(colors=ink)
    axis.grid(axis="y", color=ink, alpha=0.15)
    axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axis.set_xlabel("epoch", color=ink)
    axis.set_title(title, color=ink, loc="left")
    plot(axis, ink)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return Image.open(buffer)


def themed(label: str, draw: Callable[[bool], Image.Image]) -> None:
    """Puts a figure on the page, once for light and once for dark; `THEMED` shows the right one."""
    for dark in (False, True):
        gr.Image(
            draw(dark),
            label=label,
            alt_text=label,
            show_label=False,
            interactive=False,
            format="png",
            image_mode="RGBA",
            buttons=[],
            min_width=300,
            elem_classes="on-dark" if dark else "on-light",
        )
