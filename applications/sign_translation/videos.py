"""Video files as arrays, decoded by PyAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from applications.environment import check_packages
from applications.sign_translation.formats import FEWEST_FRAMES
from applications.sign_translation.frame_folders import grey

__all__ = ["SUFFIXES", "read_video"]

# The format is not guessed from the content: some, as playlists, would open other files and addresses.
_FORMATS = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".mov": "mov",
    ".avi": "avi",
    ".webm": "matroska",
    ".mkv": "matroska",
    ".gif": "gif",
}
SUFFIXES = tuple(_FORMATS)


def read_video(
    path: str | Path,
    size: tuple[int, int] = (256, 256),
    channels: int = 3,
    frames_per_second: float | None = 25,
    most_frames: int = 1500,
    most_pixels: int = 3840 * 2160,
) -> np.ndarray:
    """Decodes a video.

    Args:
        path: of a file that ends on .mp4, .m4v, .mov, .avi, .webm, .mkv or .gif.
        size: height and width that frames are resized to.
        channels: 3, or 1 for grey.
        frames_per_second: of a faster video some frames are left out, in equal distances; `None` keeps all.
        most_frames: a longer video is refused.
        most_pixels: a video with larger frames is refused before they are decoded.

    Returns:
        `(frames, height, width, channels)` uint8, turned as the camera was held; at least two frames.

    Raises:
        MissingPackageError: if PyAV is not installed.
        ValueError: if the file cannot be decoded, has no picture or fewer than two frames, or is too long or
            too large; or an argument is out of its range.
    """
    check_packages("av")
    import av

    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"path must end on {', '.join(SUFFIXES)}, got {path.name}.")
    if min(size) < 1 or channels not in (1, 3) or not (frames_per_second is None or frames_per_second > 0):
        raise ValueError(
            "size and frames_per_second must be above 0 and channels 1 or 3, got "
            f"{size}, {frames_per_second} and {channels}."
        )
    frames: list[np.ndarray] = []
    try:
        options = {"protocol_whitelist": "file"}
        with av.open(str(path), format=_FORMATS[path.suffix.lower()], options=options) as container:
            if not container.streams.video:
                raise ValueError("it has sound, but no picture")
            stream = container.streams.video[0]
            if stream.width * stream.height > most_pixels:
                given = f"{stream.width} x {stream.height}"
                raise ValueError(f"its frames have {given} pixels; at most {most_pixels} can be read")
            stream.codec_context.options = {"max_pixels": str(most_pixels)}  # should they grow later
            following = None
            for frame in container.decode(stream):
                if frames_per_second is not None and frame.time is not None:
                    following = frame.time if following is None else following
                    if frame.time < following - 1e-3:
                        continue
                    following = max(following + 1 / frames_per_second, frame.time)
                if len(frames) == most_frames:
                    raise ValueError(f"it has more than {most_frames} frames; cut it into sentences")
                frames.append(_upright(frame, size))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be decoded: {error}.") from None
    if len(frames) < FEWEST_FRAMES:
        raise ValueError(f"{path} must have at least {FEWEST_FRAMES} frames, got {len(frames)}.")
    stacked = np.stack(frames)
    return grey(stacked) if channels == 1 else stacked


def _upright(frame, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a frame, `(*size, 3)` uint8."""
    turns = round(frame.rotation / 90) % 4  # counter-clockwise
    height, width = size if turns % 2 == 0 else size[::-1]
    pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    return np.rot90(pixels, turns)
