from collections.abc import Sequence

import numpy as np


def pad_frames(
    lengths: Sequence[int] | np.ndarray,
    left: int = 8,
    right: int = 8,
    multiple: int = 4,
    max_length: int = 300,
    generator: np.random.Generator | None = None,
) -> list[np.ndarray]:
    """Which frame stands at each place when clips are padded by repeating their first and last frames.

    A clip of n frames gets `left` copies of the first frame in front, and copies of the last one behind until
    `left + right + multiple * ceil(n / multiple)` frames. What unpadded convolutions over time take away is
    then never a frame that was filmed. Of a clip with more than `max_length` frames as many are drawn, in
    order.

    Args:
        lengths: frames of each clip, at least 1.
        left: copies in front.
        right: copies behind, besides those that fill up the multiple.
        multiple: what the number of frames in between is rounded up to.
        max_length: most frames of a clip that are kept.
        generator: draws from longer clips; `None`: their frames are taken at equal distances.

    Returns:
        For each clip an int array of frame numbers: `clip[pad_frames([len(clip)])[0]]` is padded.

    Raises:
        ValueError: if a clip has no frames, or another argument is out of its range.

    Example:

    >>> from contrast.data.frame_padding import pad_frames
    >>> pad_frames([5], left=2, right=3)[0].tolist()
    [0, 0, 0, 1, 2, 3, 4, 4, 4, 4, 4, 4, 4]

    Reference: [Zhou et al., 2023](https://arxiv.org/abs/2307.14768), the batches of its official code.
    """
    if left < 0 or right < 0 or multiple < 1 or max_length < 1:
        raise ValueError(
            "left and right must be at least 0, multiple and max_length at least 1, got "
            f"left={left}, right={right}, multiple={multiple}, max_length={max_length}."
        )
    return [
        _padded(clip, length, left, right, multiple, max_length, generator)
        for clip, length in enumerate(lengths)
    ]


def _padded(clip, length, left, right, multiple, max_length, generator):
    if length < 1:
        raise ValueError(f"lengths must be at least 1, got {length} for clip {clip}; leave empty clips out.")
    if length <= max_length:
        frames = np.arange(length)
    elif generator is None:
        frames = np.arange(max_length) * length // max_length
    else:
        frames = np.sort(generator.choice(length, max_length, replace=False))
    behind = right + -len(frames) % multiple
    return np.concatenate([np.repeat(frames[:1], left), frames, np.repeat(frames[-1:], behind)])
