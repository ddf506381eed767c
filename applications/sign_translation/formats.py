"""What a user has: clips of signing, each with its sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "FEWEST_FRAMES",
    "FramesOnDisk",
    "SignedClip",
    "checked_frames",
    "checked_sentence",
    "warn_if_equal",
]

FEWEST_FRAMES = 2  # a single picture shows no movement

logger = logging.getLogger("contrast")


class FramesOnDisk:
    """The frames of one clip, read each time they are asked for: `np.asarray(frames)`, or `frames[3:5]`.

    Args:
        shape: `(frames, height, width, channels)`.
        read: gives the frames, uint8.
        key: what messages call the clip.

    Raises:
        ValueError: when the frames are read and have another shape.

    Example:

    >>> from applications.sign_translation.formats import FramesOnDisk
    >>> frames = FramesOnDisk((5, 32, 32, 1), lambda: np.zeros((5, 32, 32, 1), "uint8"))
    >>> len(frames), np.asarray(frames).shape
    (5, (5, 32, 32, 1))
    """

    dtype = np.dtype("uint8")

    def __init__(self, shape: Sequence[int], read: Callable[[], np.ndarray], key: str = "") -> None:
        self.shape, self._read, self._key = tuple(shape), read, key

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        frames = self._read()
        if frames.shape != self.shape:
            raise ValueError(f"frames{_of(self._key)} must be {self.shape}, got {frames.shape}.")
        return frames if dtype is None else frames.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self)[key]


@dataclass(frozen=True, eq=False)
class SignedClip:
    """One video of signing and the sentence that it says.

    Args:
        frames: `(frames, height, width, channels)` uint8, grey or red, green and blue; at least two frames.
            An array, or `FramesOnDisk`.
        sentence: what is signed, in words; not empty.
        references: all sentences that would be right; `(sentence,)` if not given.
        key: what messages call the clip, for instance its file name.
        record: the meaning, where it is known. Only evaluation reads it.
        glosses: the signs in their order, where they are known. No model may see them.
        joints: `(frames, joints, 2)` places of a signer's joints, where they are known.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if frames have a wrong shape or type or are too few, or the sentence is empty.
    """

    frames: np.ndarray | FramesOnDisk
    sentence: str
    references: tuple[str, ...] = ()
    key: str = ""
    record: Any = None
    glosses: tuple[str, ...] = ()
    joints: np.ndarray | None = None

    def __post_init__(self) -> None:
        checked_frames(self.frames, self.key)
        checked_sentence(self.sentence, self.key)
        references = self.references or (self.sentence,)
        if isinstance(references, str):
            raise TypeError(f"references{_of(self.key)} must be a tuple of sentences, got a string.")
        references = tuple(checked_sentence(one, self.key) for one in references)
        object.__setattr__(self, "references", references)  # the dataclass is frozen for users
        if self.joints is not None and len(self.joints) != len(self.frames):
            raise ValueError(
                f"joints{_of(self.key)} must be one row a frame, {len(self.frames)}, got {len(self.joints)}."
            )


def checked_frames(frames: np.ndarray | FramesOnDisk, key: str = "") -> np.ndarray | FramesOnDisk:
    """`(frames, height, width, 1 or 3)` uint8 of at least two frames."""
    if not isinstance(frames, np.ndarray | FramesOnDisk):
        raise TypeError(f"frames{_of(key)} must be an array, got {type(frames).__name__}.")
    if frames.ndim != 4 or frames.shape[-1] not in (1, 3) or 0 in frames.shape[1:]:
        raise ValueError(
            f"frames{_of(key)} must be (frames, height, width, 1 or 3), got shape {frames.shape}."
        )
    if len(frames) < FEWEST_FRAMES:
        raise ValueError(
            f"frames{_of(key)} must be at least {FEWEST_FRAMES}, got {len(frames)}; a picture is no signing."
        )
    if frames.dtype != np.uint8:
        raise ValueError(f"frames{_of(key)} must be uint8 (0 to 255), got {frames.dtype}.")
    return frames


def checked_sentence(sentence: str, key: str = "") -> str:
    """A string that is not blank."""
    if not isinstance(sentence, str):
        raise TypeError(f"sentence{_of(key)} must be a string, got {type(sentence).__name__}.")
    if not sentence.strip():
        raise ValueError(f"sentence{_of(key)} must not be empty.")
    return sentence


def warn_if_equal(sentences: Sequence[str]) -> None:
    """A warning if there is nothing to learn from, because all sentences are the same."""
    if len(sentences) > 1 and len(set(sentences)) == 1:
        logger.warning(
            "All %d sentences are equal: %r. No model can learn from them.", len(sentences), sentences[0]
        )


def _of(key: str) -> str:
    return f" of clip {key!r}" if key else ""
