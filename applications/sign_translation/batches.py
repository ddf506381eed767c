"""Signed clips and sentences as batches for both stages."""

from collections.abc import Callable, Sequence

import numpy as np

from contrast.data.buckets import RaggedBatches, bucket_lengths
from contrast.data.frame_padding import pad_frames


def clip_batches(
    clips: Sequence[np.ndarray],
    tokens: np.ndarray | None = None,
    words: np.ndarray | None = None,
    *,
    batch_size: int = 16,
    augmentation: Callable | None = None,
    noise: Callable | None = None,
    distinct_sentences: bool = False,
    max_frames: int = 300,
    buckets: int | Sequence[int] = 4,
    shuffle: bool = True,
    seed: int = 0,
    drop_remainder: bool = False,
) -> RaggedBatches:
    """Batches of clips with their sentences, in a few shapes.

    Of a clip with more than `max_frames` frames so many are kept, drawn once and in order. Padding repeats
    the last frame.

    Args:
        clips: arrays `(frames, ...)`, bytes or floats in [0, 1], with frames of one size; or vectors.
        tokens: int array `(clips, length)` of sentences, padded with 1; `None`: clips only.
        words: int array `(clips, length)`, which word each token is a piece of, for the noise; `None`: each
            token is a word.
        batch_size: clips in a batch.
        augmentation: `(frames, generator)` to frames, see `ClipAugmentation`.
        noise: `(tokens, generator, words)` to tokens, see `contrast.data.sentence_noise.WordMasking`; gives
            `masked_tokens`. `None`: these are the tokens.
        distinct_sentences: keep equal sentences out of a batch.
        max_frames: most frames of a clip.
        buckets: how many shapes at most; or the numbers of frames that batches are padded to, ascending.
        shuffle, seed, drop_remainder: see `RaggedBatches`.

    Returns:
        `RaggedBatches` of dicts: `frames`, `frame_mask`, `rows` and, with sentences, `tokens` and
        `masked_tokens`.

    Raises:
        ValueError: if there is no clip, one has no frame, they differ in the size of their frames, or there
            is not one sentence for each.

    Example:

    >>> from applications.sign_translation.batches import clip_batches
    >>> clips = [np.zeros((length, 4), "float32") for length in (5, 1, 18)]
    >>> batch = clip_batches(clips, np.array([[7, 2, 9], [8, 2, 9], [2, 9, 1]]), shuffle=False)[0]
    >>> batch["frames"].shape, batch["frame_mask"].sum(axis=1).tolist()
    ((3, 20, 4), [1, 5, 18])
    """
    check_clips(clips)
    if tokens is not None and (np.ndim(tokens) != 2 or len(tokens) != len(clips)):
        raise ValueError(
            f"tokens must be one sentence a clip, ({len(clips)}, length), got shape {np.shape(tokens)}."
        )
    texts = {"tokens": tokens, "words": words}
    lengths = [min(len(clip), max_frames) for clip in clips]
    ids = None
    if distinct_sentences and tokens is not None:
        ids = np.unique(tokens, axis=0, return_inverse=True)[1].reshape(-1)
    sizes = bucket_lengths(lengths, buckets) if isinstance(buckets, int) else buckets
    return RaggedBatches(
        _Shortened(clips, max_frames, seed),
        {name: np.asarray(text, "int32") for name, text in texts.items() if text is not None},
        lengths=lengths,
        buckets=tuple(sorted({min(size, max_frames) for size in sizes})),
        batch_size=min(batch_size, len(clips)),
        shuffle=shuffle,
        seed=seed,
        drop_remainder=drop_remainder,
        ids=ids,
        transform=_Prepared(augmentation, noise),
    )


def check_clips(clips: Sequence[np.ndarray]) -> None:
    """Raises a ValueError unless there are clips, each with a frame, all with frames of one size."""
    if not len(clips):
        raise ValueError("clips must be at least one, got none.")
    shapes = [np.shape(clip) for clip in clips]
    empty = [number for number, shape in enumerate(shapes) if len(shape) < 2 or shape[0] == 0]
    if empty:
        raise ValueError(
            f"clips must be arrays (frames, ...) of at least one frame; clip {empty[0]} has shape "
            f"{shapes[empty[0]]}."
        )
    sizes = sorted({shape[1:] for shape in shapes})
    if len(sizes) > 1:
        raise ValueError(f"clips must have frames of one size, got {sizes}; resize them first.")


class _Shortened:
    """Clips of at most so many frames."""

    def __init__(self, clips, max_frames, seed):
        self.clips, self.max_frames, self.seed = clips, max_frames, seed

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, row):
        clip = np.asarray(self.clips[row])
        if len(clip) <= self.max_frames:
            return clip
        generator = np.random.default_rng((self.seed, row))
        return clip[pad_frames([len(clip)], 0, 0, 1, self.max_frames, generator)[0]]


class _Prepared:
    """Renames what a batch holds, pads by the last frame, augments and adds noise."""

    def __init__(self, augmentation, noise):
        self.augmentation, self.noise = augmentation, noise

    def __call__(self, batch, generator):
        frames, mask = batch["sequences"], batch["mask"]
        for clip, length in zip(frames, mask.sum(axis=1), strict=True):
            clip[length:] = clip[length - 1]
        if self.augmentation is not None:
            frames = self.augmentation(frames, generator)
        item = {"frames": frames, "frame_mask": mask, "rows": batch["rows"]}
        if "tokens" in batch:
            tokens = batch["tokens"]
            masked = tokens if self.noise is None else self.noise(tokens, generator, batch.get("words"))
            item |= {"tokens": tokens, "masked_tokens": masked.astype("int32")}
        return item
