"""What the face naming page says about a photo: decisions under a threshold, sentences, table."""

import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np

from applications.face_naming.captions import names_in_caption
from applications.face_naming.formats import NONAME, CaptionedPhoto, NamedPhoto
from demos.words import counted

NO_NAME = "no name"  # how NONAME is shown


def shown_name(name: str) -> str:
    """A name as it is shown to a person."""
    return NO_NAME if name == NONAME else name


def decide(named: NamedPhoto, threshold: float | None) -> NamedPhoto:
    """Chooses names anew from the scores: a face whose best score is not above `threshold` gets `NONAME`."""
    if not named.names:
        return named
    best = [named.candidates[index] for index in named.scores.argmax(axis=1)]
    if threshold is not None:
        above = named.scores.max(axis=1) > threshold
        best = [name if good else NONAME for name, good in zip(best, above, strict=True)]
    noface = tuple(name for name in named.candidates if name != NONAME and name not in best)
    return dataclasses.replace(named, names=tuple(best), noface=noface)


def threshold_range(named: Sequence[NamedPhoto]) -> tuple[float, float]:
    """Ends of the threshold slider in steps of 0.1: below the least best score, above the largest."""
    best = np.concatenate([answer.scores.max(axis=1) for answer in named if len(answer.scores)])
    return round(math.floor(best.min() * 10 - 1) / 10, 1), round(math.ceil(best.max() * 10 + 1) / 10, 1)


def threshold_at(position: float, ends: tuple[float, float]) -> float | None:
    """The threshold at a position of the slider: its left end rejects nobody, its right end everybody."""
    low, high = ends
    if position <= low:
        return None
    return math.inf if position >= high else float(position)


def caption_parts(caption: str, names: Sequence[str]) -> list[tuple[str, str | None]]:
    """The caption in parts: each a mention of one of the names, with that name, or text between, with None.

    Names of several words are not marked.
    """
    vocabulary = tuple(names)
    parts: list[tuple[str, str | None]] = []
    for word in re.split(r"(\w+)", caption):
        name = next(iter(names_in_caption(word, vocabulary)), None)
        if name is None and parts and parts[-1][1] is None:
            word = parts.pop()[0] + word
        if word:
            parts.append((word, name))
    return parts


def verdict(photo: CaptionedPhoto, decided: NamedPhoto) -> str:
    """One sentence on all faces and one on names that nobody received, as Markdown."""
    faces = len(decided.names)
    if faces == 0:
        sentence = "No faces in this photo."
    elif photo.truth is None:
        given = sum(name != NONAME for name in decided.names)
        sentence = f"**{counted(faces, 'face')} found, {given} named.**"
    else:
        right = sum(name == truth for name, truth in zip(decided.names, photo.truth, strict=True))
        sentence = f"**{right} of {counted(faces, 'face')} right.**"
    if decided.noface:
        sentence += f" In the caption, given to nobody: {', '.join(decided.noface)}."
    return sentence


def answer_rows(photo: CaptionedPhoto, decided: NamedPhoto) -> list[list[str]]:
    """Per face: number, name, best score, margin over the second best, and a remark."""
    rows = []
    for face, name in enumerate(decided.names):
        best = decided.scores[face].argmax()
        remarks = []
        if photo.truth is not None:
            truth = photo.truth[face]
            remarks.append("right" if name == truth else f"wrong: {_who(truth)}")
        if decided.candidates[best] != name:
            remarks.append(f"{decided.candidates[best]} rejected")
        margin = decided.margins[face]
        rows.append(
            [
                str(face + 1),
                shown_name(name),
                f"{decided.scores[face, best]:.2f}",
                f"{margin:.2f}" if math.isfinite(margin) else "-",
                "; ".join(remarks) or "-",
            ]
        )
    return rows


def answer_table(photo: CaptionedPhoto, decided: NamedPhoto) -> str:
    """The rows of `answer_rows` as a Markdown table; it holds no words of the user."""
    if not decided.names:
        return ""
    lines = ["| Face | Name | Score | Margin | Remark |", "| --- | --- | ---: | ---: | --- |"]
    for number, name, score, margin, remark in answer_rows(photo, decided):
        mark = {"r": "✓ ", "w": "✗ "}.get(remark[0], "") if photo.truth is not None else ""
        lines.append(f"| {number} | **{name}** | {score} | {margin} | {mark}{remark} |")
    return "\n".join(lines)


def effect(photos: Sequence[CaptionedPhoto], named: Sequence[NamedPhoto], threshold: float | None) -> str:
    """What the threshold does to all of these photos, which have truth."""
    pairs = [
        pair
        for photo, answer in zip(photos, named, strict=True)
        for pair in zip(photo.truth, decide(answer, threshold).names, strict=True)
    ]
    given = [(truth, name) for truth, name in pairs if name != NONAME]
    share = f"{len(given)} get a name"
    if given:
        share += f", {sum(truth == name for truth, name in given) / len(given):.0%} of them the right one"
    accuracy = sum(truth == name for truth, name in pairs) / len(pairs)
    return (
        f"Of {len(pairs)} held-out faces, {share}. Right in all, unnamed strangers included: {accuracy:.0%}."
    )


def terminal_table(photos: Sequence[CaptionedPhoto], named: Sequence[NamedPhoto]) -> str:
    """Captions, true and given names, and how many of them are right, in columns for a terminal."""
    rows = [("caption", "who it is", "named by the model", "right")]
    for photo, answer in zip(photos, named, strict=True):
        right = sum(name == truth for name, truth in zip(answer.names, photo.truth, strict=True))
        truth, given = (
            ", ".join(map(shown_name, names)) or "(no faces)" for names in (photo.truth, answer.names)
        )
        rows.append((photo.caption, truth, given, f"{right} of {len(photo.truth)}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rows.insert(1, tuple("-" * width for width in widths))
    cells = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "\n".join(cells)


def _who(truth: str) -> str:
    return "a stranger" if truth == NONAME else f"it is {truth}"
