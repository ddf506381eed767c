"""Random changes of clips: one draw for all frames of a clip."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClipAugmentation:
    """Turns, scales, shifts and brightens clips, and cuts them to a size; one draw for a clip.

    The defaults are those of the paper's official code for frames of about 256 pixels. Frames are never
    mirrored: in signing, sides mean something. What comes in from outside is the nearest pixel.

    Args:
        rotation: degrees, drawn from -rotation to rotation.
        scale: drawn from 1 - scale to 1 + scale.
        shift: pixels, drawn from -shift to shift in each direction; whole ones.
        brightness: factor of the pixels, drawn from 1 - brightness to 1 + brightness.
        probability: of each of the first three, for each clip.
        size: side of the square that is cut out at a random place, or `None`: frames keep their size.

    Call: `(frames, generator)`, frames `(clips, frames, height, width, channels)`, bytes or floats in [0, 1],
        and a NumPy generator, to floats in [0, 1].

    Raises:
        ValueError: if a number is out of range, or frames are smaller than `size`.

    Example:

    >>> from applications.sign_translation.augmentation import ClipAugmentation
    >>> clips = np.random.default_rng(0).integers(0, 256, (2, 5, 32, 32, 1), dtype="uint8")
    >>> ClipAugmentation.small()(clips, np.random.default_rng(1)).shape
    (2, 5, 32, 32, 1)
    """

    rotation: float = 30.0
    scale: float = 0.2
    shift: int = 10
    brightness: float = 0.0
    probability: float = 0.5
    size: int | None = 224

    def __post_init__(self):
        for name, limit in (("rotation", 180), ("scale", 0.9), ("brightness", 1), ("probability", 1)):
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} must be from 0 to {limit}, got {getattr(self, name)}.")
        if self.shift < 0 or (self.size is not None and self.size < 1):
            raise ValueError(f"shift must be at least 0 and size 1, got {self.shift} and {self.size}.")

    @classmethod
    def small(cls) -> "ClipAugmentation":
        """For frames of 32 pixels: shifts by up to 2, brightness by up to 15 %, always."""
        return cls(rotation=0.0, scale=0.0, shift=2, brightness=0.15, probability=1.0, size=None)

    def __call__(self, frames, generator):
        if frames.ndim != 5:
            raise ValueError(
                f"frames must be (clips, frames, height, width, channels), got shape {frames.shape}."
            )
        return np.stack([self._clip(clip, generator) for clip in frames])

    def _clip(self, clip, generator):
        turn, grow, down, right, brightness = generator.uniform(-1, 1, 5)
        chosen = generator.random(3) < self.probability
        angle = np.deg2rad(turn * self.rotation) * chosen[0]
        factor = 1 + grow * self.scale * chosen[1]
        offset = np.round(np.array([down, right]) * self.shift) * chosen[2]
        clip = _transformed(clip, angle, factor, offset)
        if self.size is not None:
            room = np.array(clip.shape[1:3]) - self.size
            if room.min() < 0:
                raise ValueError(
                    f"frames must be at least size={self.size} pixels a side, got {clip.shape[1:3]}."
                )
            top, left = generator.integers(0, room + 1)
            clip = clip[:, top : top + self.size, left : left + self.size]
        unit = np.float32(1 / 255 if clip.dtype == np.uint8 else 1)
        clip = clip * (unit * np.float32(1 + brightness * self.brightness))
        return np.minimum(clip, np.float32(1))


def _transformed(clip, angle, factor, offset):
    """The clip turned and scaled about its middle, then shifted."""
    if not angle and factor == 1:
        rows, columns = (
            np.clip(np.arange(side) - int(by), 0, side - 1)
            for side, by in zip(clip.shape[1:3], offset, strict=True)
        )
        return clip[:, rows[:, None], columns]
    from scipy.ndimage import affine_transform

    sine, cosine = np.sin(angle) / factor, np.cos(angle) / factor
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    middle = (np.array(clip.shape[1:3]) - 1) / 2
    start = middle - matrix @ (middle + offset)
    moved = np.empty_like(clip)
    for frame, out in zip(clip, moved, strict=True):
        for channel in range(clip.shape[-1]):
            affine_transform(
                frame[..., channel], matrix, start, output=out[..., channel], order=1, mode="nearest"
            )
    return moved
