from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


class WordMasking:
    """Noise for sentences that a decoder learns to restore: words become a mask, their order may be lost.

    With `mode="tail"` each sentence of n words draws $u \\sim U(0, rate)$, and its last $\\lceil n u \\rceil$
    words are masked: with a rate of 0.15 nearly always the last one or two. With `mode="segment"`,
    $\\lfloor (1 - rate) n \\rfloor$ words are kept, one drawn from each of as many equal segments, and the
    others are masked. The noise is a function of the sentences and the generator.

    Args:
        rate: from 0 to 1.
        mode: `"tail"` or `"segment"`.
        shuffle_rate: probability, from 0 to 1, that the words of a sentence, masks among them, are also
            shuffled.
        mask_id: what stands for a masked word.
        pad_id: what stands behind a sentence.
        kept_ids: tokens that are no words, as the end of a sentence; they stay where they are.

    Call: `(ids, generator, words=None)`, ids `(batch, length)` integers, to ids of the same shape. `words`
        `(batch, length)` numbers the word that each token is a piece of, for sub-words; such a word becomes a
        single mask, and the sentence shorter. `None`: each token is a word.

    Raises:
        ValueError: if an argument is out of its range, or a shape is wrong.

    Example:

    >>> from contrast.data.sentence_noise import WordMasking
    >>> noise = WordMasking(mask_id=4, pad_id=1, kept_ids=(2,))
    >>> noise(np.array([[7, 8, 9, 2, 1]]), np.random.default_rng(0)).tolist()
    [[7, 8, 4, 2, 1]]

    Reference: [Zhou et al., 2023](https://arxiv.org/abs/2307.14768); `segment` and `shuffle_rate` are in its
        official code only.
    """

    def __init__(
        self,
        rate: float = 0.15,
        mode: str = "tail",
        shuffle_rate: float = 0.0,
        *,
        mask_id: int = 4,
        pad_id: int = 1,
        kept_ids: Sequence[int] = (0, 2),
    ) -> None:
        for name, share in (("rate", rate), ("shuffle_rate", shuffle_rate)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {share}.")
        if mode not in ("tail", "segment"):
            raise ValueError(f'mode must be "tail" or "segment", got {mode!r}.')
        self.rate, self.mode, self.shuffle_rate = rate, mode, shuffle_rate
        self.mask_id, self.pad_id, self.kept_ids = mask_id, pad_id, tuple(kept_ids)

    def __call__(
        self, ids: ArrayLike, generator: np.random.Generator, words: ArrayLike | None = None
    ) -> np.ndarray:
        ids = np.asarray(ids)
        if ids.ndim != 2 or ids.dtype.kind not in "iu":
            raise ValueError(f"ids must be integers (batch, length), got {ids.dtype} of shape {ids.shape}.")
        words = np.broadcast_to(np.arange(ids.shape[1]), ids.shape) if words is None else np.asarray(words)
        if words.shape != ids.shape:
            raise ValueError(f"words must have the shape of ids, {ids.shape}, got {words.shape}.")
        noisy = np.full_like(ids, self.pad_id)
        for row, (tokens, numbers) in enumerate(zip(ids, words, strict=True)):
            pieces = self._noisy(_pieces(tokens, numbers, self.pad_id, self.kept_ids), generator)
            flat = [token for piece, _ in pieces for token in piece]
            noisy[row, : len(flat)] = flat
        return noisy

    def _noisy(self, pieces, generator):
        places = [place for place, (_, is_word) in enumerate(pieces) if is_word]
        masked = self._masked(len(places), generator)
        content = [
            ([self.mask_id], True) if hidden else pieces[place]
            for place, hidden in zip(places, masked, strict=True)
        ]
        if self.shuffle_rate and generator.random() < self.shuffle_rate:
            content = [content[i] for i in generator.permutation(len(content))]
        for place, piece in zip(places, content, strict=True):
            pieces[place] = piece
        return pieces

    def _masked(self, count, generator):
        if self.mode == "tail":
            return tail_words(count, generator.uniform(0, self.rate))
        masked = np.ones(count, bool)
        segments = int((1 - self.rate) * count)
        for segment in range(segments):
            first, end = segment * count // segments, (segment + 1) * count // segments
            masked[generator.integers(first, end)] = False
        return masked


def tail_words(count: int, draw: float) -> np.ndarray:
    """True for the last `ceil(count * draw)` of `count` words.

    Example:

    >>> from contrast.data.sentence_noise import tail_words
    >>> tail_words(4, 0.1).tolist()
    [False, False, False, True]
    """
    return np.arange(count) >= count - np.ceil(count * draw)


def _pieces(tokens, numbers, pad_id, kept_ids):
    """The sentence as pairs of the tokens of a word and True, or a token that is no word and False."""
    pieces, last = [], None
    for token, number in zip(tokens.tolist(), numbers.tolist(), strict=True):
        if token == pad_id:
            continue
        if token in kept_ids:
            pieces.append(([token], False))
            last = None
        elif number == last:
            pieces[-1][0].append(token)
        else:
            pieces.append(([token], True))
            last = number
    return pieces
