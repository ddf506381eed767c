from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from contrast import backend
from contrast.typing import Tensor

IMPOSSIBLE = -1e30
FREE = -1


class Generated(NamedTuple):
    """What a search found, as NumPy arrays.

    `tokens` `(batch, max_length)` and `scores` `(batch,)` are the best text of each item; `alternatives`
    `(batch, beam_width, max_length)` and `alternative_scores` `(batch, beam_width)` are all texts of the last
    beam, best first. Behind its end a text is padding.
    """

    tokens: np.ndarray
    scores: np.ndarray
    alternatives: np.ndarray
    alternative_scores: np.ndarray


class BeamSearch:
    r"""Looks for the text with the best score that a decoder can write about each item.

    A text $w$ of $L$ tokens, its end included and a prompt left out, has the score
    $$s(w) = \frac{1}{L^\alpha} \sum_{t=1}^{L} \log p(w_t \mid w_{<t}).$$

    At each place every unfinished text of the beam is continued with every token, and the `beam_width` texts
    with the best score stay. A text with `end_id` is finished: it is frozen with its score, gets only padding
    and keeps its place until better texts need it. The search ends when all texts are finished, or at
    `max_length`, where unfinished texts count like finished ones. A beam of 1 is greedy search. Padding is
    never chosen before the end.

    The search is compiled at the first call and again for each new shape of the input; keep the object, and
    give `batch_size`, so that a smaller last batch has the same shape. Weights trained between two calls are
    seen. A token costs one `step`, whatever its place.

    Args:
        decoder: a built `FeatureDecoder`, or any object with two methods.
            `start_cache(features, feature_mask, length)` returns a dict: `"memory"`, nested tensors that the
            steps only read, and `"state"`, nested tensors with one row an item. `step(tokens, index, cache)`
            takes int32 tokens `(rows,)` and returns logits `(rows, vocabulary)` and the next cache, its
            `"state"` in the same shapes. The search repeats and reorders the rows of `"state"`; the
            `beam_width` rows of an item stand together, and `"memory"` stays as it is. If the object reads
            Keras variables, its attribute `variables` lists them.
        start_id: the token that the decoder reads first; not part of the text.
        end_id: the token that ends a text.
        max_length: most tokens of a text, prompt and end included.
        beam_width: how many texts are followed at once; at most the size of the vocabulary.
        length_penalty: $\alpha$, at least 0. 0: the plain sum, which favours short texts; 1: the mean.
        padding_id: what stands behind the end; `end_id` will do as well.

    Call: features, a tensor `(batch, ...)` or nested tensors; a `feature_mask` or `None`; a `prompt` or
        `None`: integers `(batch, length)`, the tokens that each text begins with, padded behind. A prompt of
        padding only leaves that text free. `batch_size`: how many items are searched at once, `None` for all.
        Returns a `Generated`. A beam with fewer possible texts than places is filled up with padding of score
        -inf.

    Raises:
        ValueError: if a number is out of range, the beam wider than the vocabulary, an id outside of it, the
            prompt empty, longer than `max_length`, with padding before a token, or with `end_id` or a
            negative number in it, there is no item, or the decoder has no weights yet.

    Example:

    >>> decoder = contrast.decoding.FeatureDecoder(vocabulary_size=9, dim=8, depth=1, heads=2, max_length=5)
    >>> features = np.random.normal(size=(3, 4, 6))
    >>> logits = decoder({"features": features, "ids": np.array([[1, 4]] * 3)})
    >>> search = contrast.decoding.BeamSearch(decoder, start_id=1, end_id=2, max_length=5, beam_width=4)
    >>> search(features).alternatives.shape
    (3, 4, 5)

    Reference: [Wu et al., 2016](https://arxiv.org/abs/1609.08144), section 7, with a power of the length in
        place of their formula.
    """

    def __init__(
        self,
        decoder: Any,
        *,
        start_id: int,
        end_id: int,
        max_length: int,
        beam_width: int = 1,
        length_penalty: float = 1.0,
        padding_id: int = 0,
    ) -> None:
        for name, number in (("max_length", max_length), ("beam_width", beam_width)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        for name, number in (("start_id", start_id), ("end_id", end_id), ("padding_id", padding_id)):
            if number < 0:
                raise ValueError(f"{name} must be an id, at least 0, got {number}.")
        if not length_penalty >= 0:
            raise ValueError(f"length_penalty must be at least 0, got {length_penalty}.")
        self.decoder, self.start_id, self.end_id, self.padding_id = decoder, start_id, end_id, padding_id
        self.max_length, self.beam_width, self.length_penalty = max_length, beam_width, length_penalty
        self._search = backend.compiled(self._run, lambda: list(getattr(decoder, "variables", ())))

    def __call__(
        self,
        features: Tensor,
        feature_mask: Tensor | None = None,
        prompt: Tensor | None = None,
        batch_size: int | None = None,
    ) -> Generated:
        if not getattr(self.decoder, "built", True):
            raise ValueError(
                "the decoder has no weights yet: call it on features and ids once, or load them."
            )
        inputs = {"features": features}
        if feature_mask is not None:
            inputs["mask"] = feature_mask
        inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
        batch = keras.tree.flatten(inputs)[0].shape[0]
        if batch == 0:
            raise ValueError("features hold no item.")
        if prompt is not None:
            inputs["prompt"] = ops.convert_to_tensor(self._forced(prompt, batch))
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1 or None, got {batch_size}.")
        size = batch if batch_size is None else min(batch_size, batch)
        chunks = []
        for first in range(0, batch, size):
            rows = np.minimum(np.arange(first, first + size), batch - 1).astype("int32")
            chunk = inputs
            if size < batch:
                chunk = keras.tree.map_structure(lambda x, rows=rows: ops.take(x, rows, axis=0), inputs)
            found = self._search(chunk["features"], chunk.get("mask"), chunk.get("prompt"))
            chunks.append([ops.convert_to_numpy(x)[: batch - first] for x in found])
        tokens, scores = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        return Generated(tokens[:, 0], scores[:, 0], tokens, scores)

    def _forced(self, prompt, batch):
        """The prompt as int32 array `(batch, max_length)`, `FREE` where the search chooses."""
        prompt = ops.convert_to_numpy(prompt)
        if prompt.ndim != 2 or prompt.dtype.kind not in "iu" or len(prompt) != batch:
            raise ValueError(
                f"prompt must be integers ({batch}, length), got {prompt.dtype} of shape {prompt.shape}."
            )
        length = prompt.shape[1]
        if not 1 <= length <= self.max_length:
            raise ValueError(
                f"prompt must hold 1 to max_length={self.max_length} tokens, got {length}; give None for no "
                "prompt."
            )
        given = prompt != self.padding_id
        if (given[:, 1:] > given[:, :-1]).any():
            raise ValueError("prompt must be padded behind, got padding before a token.")
        if (prompt[given] == self.end_id).any():
            raise ValueError(f"prompt must not hold end_id={self.end_id}.")
        if (prompt < 0).any():
            raise ValueError(f"prompt must hold ids, at least 0, got {prompt.min()}.")
        forced = np.full((batch, self.max_length), FREE, "int32")
        forced[:, :length] = np.where(given, prompt, FREE)
        return forced

    def _run(self, features, feature_mask, forced):
        width, length = self.beam_width, self.max_length
        cache = self.decoder.start_cache(features, feature_mask, length)
        memory, state = cache["memory"], cache["state"]
        batch = keras.tree.flatten(features)[0].shape[0]
        first_row = ops.arange(batch, dtype="int32")[:, None] * width
        places = ops.arange(length, dtype="int32")

        def body(index, tokens, last, sums, lengths, finished, *leaves):
            state_now = keras.tree.pack_sequence_as(state, leaves)
            logits, cache = self.decoder.step(
                ops.reshape(last, (-1,)), index, {"memory": memory, "state": state_now}
            )
            vocabulary = logits.shape[-1]
            self._check_vocabulary(vocabulary)
            now = None if forced is None else ops.take(forced, index, axis=1)
            logits = ops.reshape(ops.cast(logits, "float32"), (batch, width, vocabulary))
            gains = self._gains(logits, now, finished)
            counted = ops.logical_not(finished)
            if now is not None:
                counted = ops.logical_and(counted, ops.equal(now, FREE)[:, None])
            lengths = lengths + ops.cast(counted, "int32")
            totals = sums[..., None] + gains
            scores = self._scores(totals, lengths[..., None])
            _, chosen = ops.top_k(ops.reshape(scores, (batch, width * vocabulary)), width)
            chosen = ops.cast(chosen, "int32")
            parent, token = chosen // vocabulary, chosen % vocabulary
            sums = ops.take_along_axis(ops.reshape(totals, (batch, width * vocabulary)), chosen, axis=1)
            leaves = keras.tree.flatten(cache["state"])
            if width > 1:
                tokens = ops.take_along_axis(tokens, parent[..., None], axis=1)
                lengths = ops.take_along_axis(lengths, parent, axis=1)
                finished = ops.take_along_axis(finished, parent, axis=1)
                rows = ops.reshape(first_row + parent, (-1,))
                leaves = [ops.take(leaf, rows, axis=0) for leaf in leaves]
            tokens = ops.where(ops.equal(places, index), token[..., None], tokens)
            finished = ops.logical_or(finished, ops.equal(token, self.end_id))
            return (index + 1, tokens, token, sums, lengths, finished, *leaves)

        def unfinished(index, tokens, last, sums, lengths, finished, *leaves):
            return ops.logical_and(index < length, ops.logical_not(ops.all(finished)))

        sums = np.full((batch, width), IMPOSSIBLE, "float32")
        sums[:, 0] = 0.0
        start = (
            np.int32(0),
            np.full((batch, width, length), self.padding_id, "int32"),
            np.full((batch, width), self.start_id, "int32"),
            sums,
            np.zeros((batch, width), "int32"),
            np.zeros((batch, width), "bool"),
        )
        leaves = [ops.repeat(leaf, width, axis=0) for leaf in keras.tree.flatten(state)]
        start = (*(ops.convert_to_tensor(x) for x in start), *leaves)
        _, tokens, _, sums, lengths, *_ = ops.while_loop(unfinished, body, start)
        possible = sums > IMPOSSIBLE / 2
        tokens = ops.where(possible[..., None], tokens, self.padding_id)
        return tokens, ops.where(possible, self._scores(sums, lengths), -np.inf)

    def _gains(self, logits, forced, finished):
        """What each token adds to the sum of its text, `(batch, beam_width, vocabulary)`."""
        ids = np.arange(logits.shape[-1], dtype="int32")
        padding = ids == self.padding_id
        gains = ops.maximum(ops.log_softmax(logits), IMPOSSIBLE)
        if self.padding_id != self.end_id:
            gains = ops.where(padding, IMPOSSIBLE, gains)
        if forced is not None:
            forced = forced[:, None, None]
            only = ops.where(ops.equal(forced, ids), 0.0, IMPOSSIBLE)
            gains = ops.where(ops.equal(forced, FREE), gains, only)
        frozen = np.where(padding, 0.0, IMPOSSIBLE).astype("float32")
        return ops.where(finished[..., None], frozen, gains)

    def _scores(self, sums, lengths):
        lengths = ops.cast(ops.maximum(lengths, 1), "float32")
        return sums / ops.power(lengths, self.length_penalty)

    def _check_vocabulary(self, vocabulary):
        if self.beam_width > vocabulary:
            raise ValueError(
                f"beam_width must be at most the vocabulary size, {vocabulary}, got {self.beam_width}."
            )
        for name in ("start_id", "end_id", "padding_id"):
            if getattr(self, name) >= vocabulary:
                raise ValueError(
                    f"{name} must be below the vocabulary size, {vocabulary}, got {getattr(self, name)}."
                )


def generate(
    decoder: Any,
    features: Tensor,
    feature_mask: Tensor | None = None,
    *,
    start_id: int,
    end_id: int,
    max_length: int,
    beam_width: int = 1,
    length_penalty: float = 1.0,
    padding_id: int = 0,
    prompt: Tensor | None = None,
    batch_size: int | None = None,
) -> Generated:
    """The texts that a decoder writes about features, by greedy or beam search.

    The decoder keeps the `BeamSearch` of each setting, so that a second call with equal shapes compiles
    nothing.

    Args:
        decoder, start_id, end_id, max_length, beam_width, length_penalty, padding_id: see `BeamSearch`.
        features, feature_mask, prompt, batch_size: see the call of `BeamSearch`.

    Returns:
        A `Generated`.

    Raises:
        ValueError: as `BeamSearch`.

    Example:

    >>> decoder = contrast.decoding.FeatureDecoder(vocabulary_size=9, dim=8, depth=1, heads=2, max_length=5)
    >>> features = np.random.normal(size=(3, 4, 6))
    >>> logits = decoder({"features": features, "ids": np.array([[1, 4]] * 3)})
    >>> texts = contrast.decoding.generate(
    ...     decoder, features, start_id=1, end_id=2, max_length=5, prompt=np.array([[7], [7], [8]]))
    >>> print(texts.tokens[:, 0])
    [7 7 8]
    """
    settings: dict[str, Any] = {
        "start_id": start_id,
        "end_id": end_id,
        "max_length": max_length,
        "beam_width": beam_width,
        "length_penalty": length_penalty,
        "padding_id": padding_id,
    }
    # Past Keras's attribute tracking: a search is no part of the decoder's state.
    searches = vars(decoder).setdefault("_searches", {})
    search = searches.setdefault(tuple(settings.values()), BeamSearch(decoder, **settings))
    return search(features, feature_mask, prompt, batch_size)
