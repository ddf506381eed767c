"""Clips and sentences as vectors of one space: what stage 1 gives beside a start for translation."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from applications.sign_translation.batches import clip_batches
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.text import SentenceTokenizer

__all__ = ["clip_vectors", "sentence_vectors"]


def clip_vectors(first: VLP, clips: Sequence[SignedClip | np.ndarray], batch_size: int = 50) -> np.ndarray:
    """Unit vectors of clips; their products with those of sentences are cosines.

    Args:
        first: a trained stage 1.
        clips: arrays `(frames, ...)` as in training, or `SignedClip`.
        batch_size: clips that are encoded at once.

    Returns:
        `(clips, dim)` float32.

    Raises:
        ValueError: as `clip_batches`.

    Example:

    >>> from applications.sign_translation.architecture import Architecture
    >>> from applications.sign_translation.retrieval import clip_vectors
    >>> from applications.sign_translation.stage_one import VLP
    >>> first = VLP(Architecture.small(12, frame_shape=(6,), dim=8, max_frames=24))
    >>> clip_vectors(first, [np.ones((length, 6), "float32") for length in (20, 9)]).shape
    (2, 8)
    """
    frames = [clip.frames if isinstance(clip, SignedClip) else clip for clip in clips]
    longest = first.architecture.max_frames
    batches = clip_batches(
        frames, batch_size=batch_size, max_frames=longest, buckets=(longest,), shuffle=False
    )
    if not first.built:
        first.build({"frames": (None, None, *first.architecture.frame_shape), "tokens": (None, None)})
    found = np.empty((len(frames), first.architecture.dim), "float32")
    for number in range(len(batches)):
        batch = batches[number]
        found[batch["rows"]] = _numpy(first.clip_vectors(batch, training=False))
    return _unit(found)


def sentence_vectors(first: VLP, tokenizer: SentenceTokenizer, sentences: Sequence[str]) -> np.ndarray:
    """Unit vectors `(sentences, dim)` of sentences, float32.

    Args:
        first: a trained stage 1.
        tokenizer: that of its training.
        sentences: strings.

    Raises:
        ValueError: if a sentence is too long, or holds a special token.
    """
    tokens = tokenizer.encode(sentences, first.architecture.max_length)
    return _unit(_numpy(first.text_encoder(tokens, training=False)))


def _numpy(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.stop_gradient(x))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
