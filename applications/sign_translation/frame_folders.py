"""Clips whose frames are pictures in folders."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from applications.environment import check_packages
from applications.pictures import listed, read_image
from applications.sign_translation.formats import FEWEST_FRAMES, FramesOnDisk, SignedClip, warn_if_equal
from applications.sign_translation.label_files import ClipLabel, read_labels

__all__ = ["grey", "load_labelled_frames", "read_frames"]

logger = logging.getLogger("contrast")


def load_labelled_frames(
    labels: str | Path | Sequence[ClipLabel],
    folder: str | Path,
    size: tuple[int, int] | None = (256, 256),
    channels: int = 3,
) -> list[SignedClip]:
    """The clips of PHOENIX14T, CSL-Daily, or of other labels with frames as PNG or JPEG.

    Frames are read from disk each time they are asked for, so the data set may be larger than the memory.

    Args:
        labels: what `read_labels` returns, or the path of a label file.
        folder: what the paths in the labels are relative to.
        size: height and width that frames are resized to; `None`: as they are, all of a clip of one size.
        channels: 3, or 1 for grey.

    Returns:
        The clips. Those of fewer than two frames, and those whose first or last frame is missing, are left
        out and listed in a warning.

    Raises:
        MissingPackageError: if Pillow is not installed.
        ValueError: if no clip is left, or an argument is out of its range.
    """
    check_packages("PIL")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}.")
    labels = read_labels(labels) if isinstance(labels, str | Path) else list(labels)
    folder, clips, short, missing = Path(folder), [], [], []
    for label in labels:
        files = [folder / file for file in label.files]
        if len(files) < FEWEST_FRAMES:
            short.append(f"{label.name} ({len(files)})")
        elif not (files[0].is_file() and files[-1].is_file()):
            missing.append(label.name)
        else:
            shape = (*(size or read_image(files[0]).shape[:2]), channels)
            read = functools.partial(read_frames, files, size, channels, label.name)
            frames = FramesOnDisk((len(files), *shape), read, label.name)
            glosses = tuple(label.gloss.split())
            clips.append(SignedClip(frames, label.sentence, key=label.name, glosses=glosses))
    for what, names in (("of fewer than two frames", short), (f"whose frames are not in {folder}", missing)):
        if names:
            logger.warning("Left out: clips %s (%d): %s.", what, len(names), listed(names))
    if not clips:
        raise ValueError(f"{folder} must hold the frames of at least one of {len(labels)} clips, got none.")
    warn_if_equal([clip.sentence for clip in clips])
    return clips


def read_frames(
    files: Sequence[str | Path], size: tuple[int, int] | None, channels: int = 3, key: str = ""
) -> np.ndarray:
    """Pictures as the frames of a clip.

    Args:
        files: in their order, at least one.
        size: height and width that frames are resized to; `None`: as they are.
        channels: 3, or 1 for grey.
        key: what messages call the clip.

    Returns:
        `(frames, height, width, channels)` uint8.

    Raises:
        MissingPackageError: if Pillow is not installed.
        ValueError: if a picture cannot be read, or they differ in size and none is given.
    """
    frames = [read_image(file) for file in files]
    if size is None:
        sizes = sorted({frame.shape[:2] for frame in frames})
        if len(sizes) > 1:
            raise ValueError(
                f"frames of clip {key!r} must be of one size, got {', '.join(map(str, sizes[:4]))}; "
                "give size=(height, width) to resize them."
            )
    else:
        frames = [_resized(frame, size) for frame in frames]
    stacked = np.stack(frames)
    return grey(stacked) if channels == 1 else stacked


def grey(frames: np.ndarray) -> np.ndarray:
    """`(..., 3)` uint8 as `(..., 1)` uint8, by the usual weights of red, green and blue."""
    return (frames @ np.array([0.299, 0.587, 0.114], "float32") + 0.5).astype("uint8")[..., None]


def _resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if frame.shape[:2] == tuple(size):
        return frame
    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BILINEAR))
