"""How a signer's body moves: places of the joints in every frame of a sequence of signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from applications.sign_translation.lexicon import PLACES, REST_PLACE, REST_SHAPE, SHAPES, Sign

__all__ = ["JOINTS", "Signer", "draw_signer", "joints"]

JOINTS = (
    "head",
    *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "hand") for side in ("left", "right")),
    *(f"{side}_finger_{finger}" for side in ("left", "right") for finger in (1, 2, 3)),
)  # left and right in the picture

_HEAD = (0.0, -0.5)
_SHOULDER = (-0.3, -0.18)
_BONE = 0.48  # of the upper arm, and of the forearm
_ELBOW_DIRECTION = (-0.6, 0.8)  # an elbow hangs out and down
_PALM, _FINGER = 0.06, 0.24
_JITTER = 0.03
_PIVOT = (0.0, 0.2)  # what a signer's size scales about
_SHAKE = 0.09

_REST_FRAMES = (1, 3)
_SIGN_FRAMES = (4, 6)  # before the signer's speed; then within the limits below
_SIGN_LIMITS = (5, 10)
_TRANSITION_LIMITS = (2, 5)
_ARC, _WAVE, _WAVES = 0.22, 0.12, 2


@dataclass(frozen=True)
class Signer:
    """What one person's way of signing is like, the same over a clip.

    Args:
        speed: 1 is usual; from 0.85 to 1.2.
        size: 1 is usual; from 0.9 to 1.1.
        shift: of the body from the middle of the picture, whose half width is 1.
        left_handed: everything is mirrored.
    """

    speed: float = 1.0
    size: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    left_handed: bool = False


def draw_signer(generator: np.random.Generator) -> Signer:
    """A random signer; one of ten is left-handed."""
    return Signer(
        speed=generator.uniform(0.85, 1.2),
        size=generator.uniform(0.9, 1.1),
        shift=tuple(generator.uniform((-0.08, -0.04), (0.08, 0.06)).tolist()),
        left_handed=bool(generator.random() < 0.1),
    )


def joints(
    signs: Sequence[Sign],
    signer: Signer,
    generator: np.random.Generator,
    shaken: Sequence[bool] | None = None,
) -> np.ndarray:
    """Signs one after the other, with a rest pose before and behind.

    A sign takes 5 to 10 frames, the way to it from the last place 2 to 5, the longer the farther it is: so
    every sign looks a little different after another one.

    Args:
        signs: in their order.
        signer: who makes them.
        generator: draws durations and the inexactness of places.
        shaken: for each sign whether the head is shaken over it; `None`: over none.

    Returns:
        `(frames, 13, 2)` float32: x and y of `JOINTS`, from -1 to 1 in the picture, y down.
    """
    shaken = [False] * len(signs) if shaken is None else list(shaken)
    rest = _rest()
    states = [np.repeat(rest[None], _frames(_REST_FRAMES, generator), axis=0)]
    shakes = [np.zeros(len(states[0]))]
    for sign, shake in zip(signs, shaken, strict=True):
        path = _path(sign, _sign_frames(signer, generator), generator)
        way = _transition(states[-1][-1], path[0], signer)
        turns = np.sin(np.linspace(0, 5 * np.pi, len(path))) * _SHAKE * shake
        states += [way, path]
        shakes += [np.zeros(len(way)), turns]
    states.append(_transition(states[-1][-1], rest, signer))
    states.append(np.repeat(rest[None], _frames(_REST_FRAMES, generator), axis=0))
    shakes.append(np.zeros(len(states[-1]) + len(states[-2])))
    return _body(np.concatenate(states), np.concatenate(shakes), signer)


def _rest() -> np.ndarray:
    """State of both hands, `(2, 8)`: place, lengths and angles of three fingers; the signing hand first."""
    hand = np.concatenate([REST_PLACE, *REST_SHAPE])
    return np.stack([hand, _mirrored(hand)])


def _mirrored(hand: np.ndarray) -> np.ndarray:
    return hand * [-1, 1, 1, 1, 1, -1, -1, -1]


def _path(sign: Sign, frames: int, generator: np.random.Generator) -> np.ndarray:
    """States of both hands during a sign, `(frames, 2, 8)`."""
    start, end = (
        np.array(PLACES[place]) + generator.normal(0, _JITTER, 2) for place in (sign.start, sign.end)
    )
    time = np.linspace(0, 1, frames)
    step = end - start
    across = np.array([-step[1], step[0]]) / max(np.hypot(*step), 1e-6)
    offset = {
        "straight": np.zeros(frames),
        "arc": _ARC * np.sin(np.pi * time),
        "wave": _WAVE * np.sin(2 * np.pi * _WAVES * time),
    }[sign.movement]
    states = np.repeat(_rest()[None], frames, axis=0)
    states[:, 0, :2] = start + _smoothstep(time)[:, None] * step + offset[:, None] * across
    states[:, 0, 2:] = np.concatenate(SHAPES[sign.shape])
    if sign.two_hands:
        states[:, 1] = _mirrored(states[:, 0])
    return states


def _transition(last: np.ndarray, following: np.ndarray, signer: Signer) -> np.ndarray:
    """The frames between two states, without them."""
    distance = np.hypot(*(following - last)[:, :2].T).max()
    frames = int(np.clip(round((0.7 + 2 * distance) / signer.speed), *_TRANSITION_LIMITS))
    share = _smoothstep(np.arange(1, frames + 1) / (frames + 1))[:, None, None]
    return last + share * (following - last)


def _sign_frames(signer: Signer, generator: np.random.Generator) -> int:
    return int(np.clip(round(_frames(_SIGN_FRAMES, generator) / signer.speed), *_SIGN_LIMITS))


def _frames(limits: tuple[int, int], generator: np.random.Generator) -> int:
    return int(generator.integers(limits[0], limits[1] + 1))


def _smoothstep(time: np.ndarray) -> np.ndarray:
    return time * time * (3 - 2 * time)


def _body(states: np.ndarray, shakes: np.ndarray, signer: Signer) -> np.ndarray:
    """All joints in the picture, from the states of the hands and the turns of the head."""
    side = np.array([1.0, -1.0])  # the signing hand, the other one
    shoulders = np.stack([side * _SHOULDER[0], np.full(2, _SHOULDER[1])], axis=-1)[None]
    hands = states[..., :2]
    half = (hands - shoulders) / 2
    slack = np.sqrt(np.maximum(_BONE**2 - (half**2).sum(axis=-1), 0))
    direction = np.stack([side * _ELBOW_DIRECTION[0], np.full(2, _ELBOW_DIRECTION[1])], axis=-1)
    elbows = shoulders + half + slack[..., None] * direction
    fingers = _fingertips(hands, elbows, states[..., 2:5], states[..., 5:])
    head = np.stack([_HEAD[0] + shakes, np.full(len(states), _HEAD[1])], axis=-1)
    points = np.concatenate(
        [
            head[:, None],
            np.broadcast_to(shoulders, hands.shape),
            elbows,
            hands,
            fingers.reshape(len(states), 6, 2),
        ],
        axis=1,
    )
    if signer.left_handed:
        points = (points * [-1, 1])[:, [0, 2, 1, 4, 3, 6, 5, 10, 11, 12, 7, 8, 9]]
    pivot = np.array(_PIVOT)
    return (pivot + signer.size * (points - pivot) + signer.shift).astype("float32")


def _fingertips(hands: np.ndarray, elbows: np.ndarray, lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """`(frames, 2, 3, 2)`: fingers are stretched along the forearm, turned by their angles."""
    forearm = hands - elbows
    turned = np.arctan2(forearm[..., 1], forearm[..., 0])[..., None] + angles
    directions = np.stack([np.cos(turned), np.sin(turned)], axis=-1)
    return hands[:, :, None] + (_PALM + _FINGER * lengths)[..., None] * directions
