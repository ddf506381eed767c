"""Studies to look at: views side by side with the visit before, and what is written of both."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from applications.environment import check_packages
from applications.report_generation.image_files import load_image
from applications.report_generation.labeller import progression
from applications.report_generation.study import FRONTAL, Study, View
from contrast.data.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["study_picture"]

_INK, _FAINT, _ACCENT = "#1f2933", "#7b8794", "#0b69a3"
_COLOURS = {"new": "#b3261e", "worse": "#b3261e", "better": "#1b7f4b", "gone": "#1b7f4b"}
_NAMES = {"PA": "frontal, PA", "AP": "frontal, AP", "LATERAL": "lateral", "LL": "lateral, LL"}
_WIDTH, _LINE, _POINTS = 3.1, 0.235, 11  # inches an image, inches a line of text, size of letters


def study_picture(study: Study, path: str | Path | None = None) -> Figure:
    """A figure of a study: the visit before on the left, then the views, and the texts below.

    Sentences that state something new or worse are red, those that state something better or gone are green.
    An "L" marks the patient's left.

    Args:
        study: any.
        path: of a PNG file to write; `None` writes none.

    Returns:
        The matplotlib figure, of no window.

    Raises:
        MissingPackageError: if matplotlib is not installed.
        ValueError: if the path does not end on `.png`, or an image cannot be read.
    """
    check_packages("matplotlib")
    from matplotlib.figure import Figure

    if path is not None and Path(path).suffix.lower() != ".png":
        raise ValueError(f"path must end on .png, got {Path(path).name}.")
    prior_view = study.prior.view if study.prior is not None else None
    columns = max(len(study.views) + (prior_view is not None), 2)
    left, right = _prior_lines(study, 38), _current_lines(study, 38 * (columns - 1))
    text = _LINE * (max(len(left), len(right)) + 0.5)
    figure = Figure(figsize=(_WIDTH * columns, _WIDTH + 0.35 + text), facecolor="white", layout="none")
    share = text / figure.get_figheight()
    _images(figure, study, prior_view, columns, share)
    middle = 1 / columns if study.prior is not None else 0.0
    if study.prior is not None:
        _write(figure, left, 0.02, share)
    _write(figure, right, middle + 0.02, share)
    if path is not None:
        with whole_file(Path(path)) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
    return figure


def _images(figure: Figure, study: Study, prior_view: View | None, columns: int, share: float) -> None:
    height = _WIDTH / figure.get_figheight()
    views = [(view, f"now: {_NAMES.get(view.position, 'view unknown')}") for view in study.views]
    if study.prior is not None:
        views = [(prior_view, "visit before"), *views]
    for column, (view, title) in enumerate(views):
        frame = (column / columns + 0.006, share + 0.01, 1 / columns - 0.012, height - 0.01)
        axes = figure.add_axes(frame)
        axes.set_axis_off()
        if view is None:
            axes.text(0.5, 0.5, "no image", ha="center", color=_FAINT, size=_POINTS)
        else:
            before = view is prior_view
            title += f": {_NAMES.get(view.position, 'view unknown')}" if before else ""
            _image(axes, view)
        axes.set_title(title, size=_POINTS, color=_FAINT if view is prior_view else _ACCENT, weight="bold")


def _image(axes: Axes, view: View) -> None:
    image = load_image(view.image) if isinstance(view.image, str | Path) else view.image
    most = 255 if image.dtype.kind == "u" else 1
    axes.imshow(image, cmap="gray", vmin=0, vmax=most, interpolation="bicubic", aspect="equal")
    if view.position in FRONTAL:
        axes.text(0.95, 0.92, "L", color="white", size=_POINTS, ha="center", transform=axes.transAxes)


def _prior_lines(study: Study, width: int) -> list[tuple[str, str, str]]:
    """Lines of text, each with its colour and its weight."""
    if study.prior is None:
        return []
    return [("report before", _FAINT, "bold"), *_sentences(study.prior.findings, width, plain=True)]


def _current_lines(study: Study, width: int) -> list[tuple[str, str, str]]:
    indication = textwrap.wrap(study.indication or "not given", width)
    changed = set(progression(study.findings or "").values()) & set(_COLOURS)
    return [
        ("indication", _ACCENT, "bold"),
        *((line, _INK if study.indication else _FAINT, "normal") for line in indication),
        ("findings", _ACCENT, "bold"),
        *_sentences(study.findings, width, plain=False),
        *([("red: new or worse; green: better or gone", _FAINT, "normal")] if changed else []),
    ]


def _sentences(text: str | None, width: int, plain: bool) -> list[tuple[str, str, str]]:
    if not text:
        return [("not given", _FAINT, "normal")]
    lines = []
    for sentence in text.split(". "):
        sentence = f"{sentence.removesuffix('.')}."
        change = next(iter(progression(sentence).values()), None)
        colour = _FAINT if plain else _COLOURS.get(change, _INK)
        lines += [
            (line, colour, "normal") for line in textwrap.wrap(sentence, width, subsequent_indent="   ")
        ]
    return lines


def _write(figure: Figure, lines: list[tuple[str, str, str]], left: float, top: float) -> None:
    step = _LINE / figure.get_figheight()
    for row, (line, colour, weight) in enumerate(lines):
        figure.text(left, top - (row + 0.7) * step, line, color=colour, weight=weight, size=_POINTS)
