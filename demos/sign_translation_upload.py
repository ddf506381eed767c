"""From an uploaded video to frames as the model takes them, or to words about what is wrong with it."""

import numpy as np

from applications.sign_translation.videos import read_video
from demos.uploads import UploadError, check_size, in_words, named_by_content, suffix_by_content

FEWEST, MOST = 8, 250  # frames, 25 a second
RATE = 25
KINDS = (".mp4", ".mkv", ".avi", ".gif")  # as `suffix_by_content` calls them


def read_clip(path: str | None, frame_shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes an uploaded video, whatever its name says.

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
    check_size(path)
    suffix = suffix_by_content(path)
    if suffix not in KINDS:
        raise UploadError("The file is no MP4, MOV, M4V, WebM, MKV, AVI or GIF file, whatever its name says.")
    with named_by_content(path, suffix) as video:
        try:
            size, channels = frame_shape[:2], frame_shape[2]
            frames = read_video(video, size, channels, frames_per_second=RATE, most_frames=MOST)
        except ValueError as error:
            raise UploadError(in_words(error, video, "the video")) from None
    if len(frames) < FEWEST:
        raise UploadError(
            f"The video has {len(frames)} frames; at least {FEWEST} are needed, a sentence takes more."
        )
    return frames
