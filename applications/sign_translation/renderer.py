"""Pictures of a signer from the places of the joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Colours", "draw_colours", "render"]

_GREY = np.array([0.299, 0.587, 0.114], "float32")
_OUTLINE = 0.035
_NOISE = 0.02

# radii, of a picture whose half width is 1
_TORSO, _CHEST, _NECK, _HAIR, _FACE, _EYE = 0.3, 0.17, 0.09, 0.27, 0.2, 0.032
_UPPER_ARM, _FOREARM, _HAND, _FINGER = 0.1, 0.075, 0.09, 0.045


@dataclass(frozen=True)
class Colours:
    """Red, green and blue from 0 to 1 of what is seen."""

    skin: tuple[float, float, float] = (0.92, 0.74, 0.62)
    cloth: tuple[float, float, float] = (0.14, 0.22, 0.4)
    hair: tuple[float, float, float] = (0.24, 0.15, 0.1)
    background: tuple[float, float, float] = (0.5, 0.58, 0.6)


def draw_colours(generator: np.random.Generator) -> Colours:
    """Random colours; skin is always lighter than cloth."""
    skin = generator.uniform(0.76, 1.0) * np.array([1.0, generator.uniform(0.76, 0.84), 0.66])
    cloth = generator.uniform(0.14, 0.28) * generator.uniform(0.4, 1.6, 3)
    hair = generator.uniform(0.05, 0.35) * np.array([1.0, 0.7, 0.45])
    background = generator.uniform(0.3, 0.46) * generator.uniform(0.85, 1.15, 3)
    return Colours(*(tuple(colour.tolist()) for colour in (skin, cloth, hair, background)))


def render(
    joints: np.ndarray,
    colours: Colours | None = None,
    generator: np.random.Generator | None = None,
    size: int = 32,
    channels: int = 1,
) -> np.ndarray:
    """Draws the body as capsules, in front of each other, with soft edges and dark outlines.

    Args:
        joints: `(frames, 13, 2)` as `applications.sign_translation.motion.joints` returns them.
        colours: of the clip; `None` for usual ones.
        generator: draws the grain of the pictures; `None`: there is none.
        size: height and width in pixels.
        channels: 1 for grey, 3 for colour.

    Returns:
        `(frames, size, size, channels)` uint8.

    Raises:
        ValueError: if joints are of another shape, `size` is below 1, or `channels` neither 1 nor 3.

    Example:

    >>> from applications.sign_translation.renderer import render
    >>> render(np.zeros((2, 13, 2)), size=16).shape
    (2, 16, 16, 1)
    """
    joints = np.asarray(joints, "float32")
    if joints.ndim != 3 or joints.shape[1:] != (13, 2):
        raise ValueError(f"joints must be (frames, 13, 2), got {joints.shape}.")
    if size < 1 or channels not in (1, 3):
        raise ValueError(f"size must be at least 1 and channels 1 or 3, got {size} and {channels}.")
    canvas = _Canvas(len(joints), size, channels, colours or Colours())
    canvas.body(joints)
    picture = canvas.picture
    if generator is not None:
        picture += _NOISE * generator.standard_normal(picture.shape, "float32")
    return (picture.clip(0, 1) * 255 + 0.5).astype("uint8")


class _Canvas:
    """The pictures of a clip, painted from back to front."""

    def __init__(self, frames: int, size: int, channels: int, colours: Colours) -> None:
        self.channels, self.colours = channels, colours
        self.edge = size / 2  # pixels of a half width
        places = ((np.arange(size) + 0.5) / size * 2 - 1).astype("float32")
        self.x, self.y = places[None, None, :], places[None, :, None]
        light = 1.12 - 0.16 * (self.y + 1) - 0.1 * self.x**2
        picture = light[..., None] * self._tone(colours.background)
        self.picture = np.repeat(picture, frames, axis=0).astype("float32")

    def body(self, joints: np.ndarray) -> None:
        skin, cloth = self.colours.skin, self.colours.cloth
        head, shoulders, elbows, hands = joints[:, 0], joints[:, 1:3], joints[:, 3:5], joints[:, 5:7]
        fingers = joints[:, 7:].reshape(-1, 2, 3, 2)
        middle = shoulders.mean(axis=1)
        scale = float(np.abs(np.diff(shoulders[0, :, 0])).item() / 0.6) or 1.0
        turn = head[:, 0] - middle[:, 0]
        below = middle + np.array([0, 1.4], "float32")
        self._paint(self._capsule(middle, head, _NECK * scale), _darker(skin, 0.85))
        left, right = (0.9 * shoulders[:, side] + 0.1 * middle for side in (0, 1))
        chest = self._capsule(left, right, _CHEST * scale)
        torso = self._capsule(middle + np.array([0, 0.3], "float32"), below, _TORSO * scale)
        self._paint(np.minimum(chest, torso), cloth)
        self._head(head, turn, scale)
        for side in (0, 1):
            upper = self._capsule(shoulders[:, side], elbows[:, side], _UPPER_ARM * scale)
            self._paint(upper, _darker(cloth, 1.3))
        for side in (0, 1):
            parts = [self._capsule(elbows[:, side], hands[:, side], _FOREARM * scale)]
            parts.append(self._capsule(hands[:, side], hands[:, side], _HAND * scale))
            for finger in range(3):
                parts.append(self._capsule(hands[:, side], fingers[:, side, finger], _FINGER * scale))
            self._paint(np.minimum.reduce(parts), skin)

    def _head(self, head: np.ndarray, turn: np.ndarray, scale: float) -> None:
        def at(x, y):
            return head + scale * np.array([x, y], "float32") + np.stack([turn * 0.6, 0 * turn], axis=-1)

        dark = _darker(self.colours.skin, 0.3)
        top = head - np.array([0, 0.04 * scale], "float32")
        self._paint(self._capsule(top, head, _HAIR * scale), self.colours.hair)
        self._paint(self._capsule(at(0, -0.01), at(0, 0.08), _FACE * scale), self.colours.skin, outline=0)
        for side in (-1, 1):
            eye = at(0.085 * side, -0.01)
            self._paint(self._capsule(eye, eye, _EYE * scale), dark, outline=0)
        self._paint(self._capsule(at(-0.05, 0.15), at(0.05, 0.15), 0.02 * scale), dark, outline=0)

    def _capsule(self, start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
        """Distance of each pixel from capsules around segments, `(frames, size, size)`; negative inside."""
        start, end = (np.asarray(point, "float32")[:, None, None] for point in (start, end))
        along = end - start
        x, y = self.x - start[..., 0], self.y - start[..., 1]
        length = np.maximum((along**2).sum(axis=-1), 1e-9)
        share = (x * (along[..., 0] / length) + y * (along[..., 1] / length)).clip(0, 1)
        x = x - share * along[..., 0]
        y = y - share * along[..., 1]
        return np.sqrt(x * x + y * y) - np.float32(radius)

    def _paint(self, distance: np.ndarray, colour: tuple[float, ...], outline: float = _OUTLINE) -> None:
        if outline:
            self._fill(distance - outline, _darker(colour, 0.5))
        self._fill(distance, colour)

    def _fill(self, distance: np.ndarray, colour: tuple[float, ...]) -> None:
        cover = (0.5 - distance * self.edge).clip(0, 1)[..., None]
        self.picture += cover * (self._tone(colour) - self.picture)

    def _tone(self, colour: tuple[float, ...]) -> np.ndarray:
        colour = np.asarray(colour, "float32")
        return colour if self.channels == 3 else (colour @ _GREY)[None]


def _darker(colour: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(factor * part for part in colour)
