"""Clips to look at: strips of frames side by side, animations and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from applications.environment import check_packages
from applications.sign_translation.formats import SignedClip
from contrast.data.files import whole_file

__all__ = ["captioned_strips", "save_animation", "save_video", "strip"]


def strip(clip: SignedClip, count: int = 10, scale: int = 1) -> np.ndarray:
    """Frames of a clip at equal distances, side by side.

    Args:
        clip: any clip.
        count: how many frames; a shorter clip repeats some.
        scale: each pixel becomes a square of that many.

    Returns:
        `(height * scale, count * width * scale, 3)` uint8.

    Raises:
        ValueError: if count or scale is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}.")
    chosen = np.linspace(0, len(clip.frames) - 1, count).round().astype(int)
    return np.concatenate(list(_enlarged(clip.frames[chosen], scale)), axis=1)


def captioned_strips(clips: Sequence[SignedClip], count: int = 10, scale: int = 1) -> np.ndarray:
    """Strips of several clips below each other, on white, each with its sentence under it.

    Args:
        clips: of one frame size, at least one.
        count, scale: as for `strip`.

    Returns:
        `(height, width, 3)` uint8.

    Raises:
        MissingPackageError: if Pillow is not installed.
        ValueError: if there is no clip.
    """
    check_packages("PIL")
    from PIL import Image, ImageDraw, ImageFont

    if not clips:
        raise ValueError("clips must hold at least one clip.")
    strips = [strip(clip, count, scale) for clip in clips]
    text, gap = 16, 30
    height, width = strips[0].shape[0] + gap, strips[0].shape[1]
    picture = Image.new("RGB", (width, height * len(clips)), "white")
    drawing, font = ImageDraw.Draw(picture), ImageFont.load_default(text)
    for row, (frames, clip) in enumerate(zip(strips, clips, strict=True)):
        picture.paste(Image.fromarray(frames), (0, row * height))
        place = (width / 2, (row + 1) * height - gap * 0.55)
        drawing.text(place, clip.sentence, fill=(40, 40, 40), font=font, anchor="mm")
    return np.asarray(picture)


def save_animation(clip: SignedClip, path: str | Path, frames_per_second: float = 25, scale: int = 4) -> None:
    """Writes a clip as an endless GIF.

    Args:
        clip: any clip.
        path: of the file, ending on `.gif`.
        frames_per_second: above 0; players round the time of a frame to a hundredth of a second.
        scale: each pixel becomes a square of that many.

    Raises:
        MissingPackageError: if Pillow is not installed.
        ValueError: if the path ends otherwise, or a number is out of its range.
    """
    check_packages("PIL")
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"path must end on .gif, got {path.name}.")
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second must be above 0, got {frames_per_second}.")
    pictures = [Image.fromarray(frame) for frame in _enlarged(np.asarray(clip.frames), scale)]
    with whole_file(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=1000 / frames_per_second,
            loop=0,
        )


def save_video(clip: SignedClip, path: str | Path, frames_per_second: int = 25, scale: int = 4) -> None:
    """Writes a clip as an MP4 video, as a folder for `load_video_folder` may hold it.

    Args:
        clip: any clip, whose frames times `scale` have an even height and width.
        path: of the file, ending on `.mp4`.
        frames_per_second: at least 1.
        scale: each pixel becomes a square of that many.

    Raises:
        MissingPackageError: if PyAV is not installed.
        ValueError: if the path ends otherwise, a number is out of its range, or a side is odd.
    """
    check_packages("av")
    import av

    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"path must end on .mp4, got {path.name}.")
    if frames_per_second < 1:
        raise ValueError(f"frames_per_second must be at least 1, got {frames_per_second}.")
    pictures = _enlarged(np.asarray(clip.frames), scale)
    height, width = pictures.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"sides of the video must be even, got {height} x {width}; choose another scale.")
    with (
        whole_file(path) as temporary,
        temporary.open("wb") as file,
        av.open(file, "w", format="mp4") as container,
    ):
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = container.add_stream(codec, frames_per_second)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _enlarged(frames: np.ndarray, scale: int) -> np.ndarray:
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}.")
    frames = np.broadcast_to(frames, (*frames.shape[:3], 3))
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)
