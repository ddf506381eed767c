"""From an uploaded video to frames as the model takes them, or to words about what is wrong with it."""

import os
import re

import numpy as np

from applications.sign_translation.videos import SUFFIXES, read_video
from demos.uploads import MOST_BYTES, UploadError

FEWEST, MOST = 8, 250  # frames, 25 a second
RATE = 25


def read_clip(path: str | None, frame_shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes an uploaded video.

    Args:
        path: of the uploaded file, which may hold anything; `None` if there is none.
        frame_shape: height, width and channels of the frames that the model takes.

    Returns:
        `(frames, *frame_shape)` uint8, 8 to 250 frames, 25 a second at most.

    Raises:
        UploadError: if there is no file, it is too large, cannot be decoded, or is too short or too long.
    """
    if path is None:
        raise UploadError("Please choose a video first.")
    try:
        size = os.path.getsize(path)
    except OSError:
        raise UploadError("The file did not arrive. Please upload it again.") from None
    if size > MOST_BYTES:
        given = f"{size / 1024**2:.1f} MB"
        raise UploadError(f"The file has {given}; at most {MOST_BYTES // 1024**2} MB can be read.")
    if not str(path).lower().endswith(SUFFIXES):
        raise UploadError(f"The file must be a video that ends on {', '.join(SUFFIXES)}.")
    try:
        frames = read_video(
            path,
            frame_shape[:2],
            frame_shape[2],
            frames_per_second=RATE,
            most_frames=MOST,
        )
    except ValueError as error:
        raise UploadError(_in_words(error, str(path))) from None
    if len(frames) < FEWEST:
        raise UploadError(
            f"The video has {len(frames)} frames; at least {FEWEST} are needed, a sentence takes more."
        )
    return frames


def _in_words(error: ValueError, path: str) -> str:
    """A message without the folder and the numbers of this machine."""
    words = str(error).replace(path, "the video")
    words = re.sub(r"\[Errno -?\d+\] ", "", words).replace(": 'the video'", "")
    return words[:1].upper() + words[1:]
