"""Sequences of many lengths in batches of few shapes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from contrast.data.batches import checked_ids
from contrast.data.unique_rows import deal, first_rows_that_fit, full_batches, smallest_number_of_batches

logger = logging.getLogger("contrast")


def bucket_lengths(lengths: ArrayLike, count: int = 4, multiple: int = 4) -> tuple[int, ...]:
    """Lengths to pad to, so that each is used about equally often.

    Args:
        lengths: of the sequences, integers of at least 1.
        count: how many at most; each is a shape that a compiled model has to be traced for.
        multiple: what they are rounded up to.

    Returns:
        A tuple of ascending integers; the last holds the longest sequence.

    Raises:
        ValueError: if there are no lengths, or one is below 1.

    Example:

    >>> from contrast.data.buckets import bucket_lengths
    >>> bucket_lengths([10, 12, 18, 21, 30, 47], count=3)
    (12, 24, 48)
    """
    lengths = np.asarray(lengths)
    if not lengths.size or lengths.min() < 1 or count < 1 or multiple < 1:
        raise ValueError(
            "lengths, count and multiple must be at least 1, and there must be lengths; got "
            f"{lengths.tolist()[:8]}, {count} and {multiple}."
        )
    ends = np.quantile(lengths, np.arange(1, count + 1) / count, method="inverted_cdf")
    return tuple(np.unique(-(-ends.astype(int) // multiple) * multiple).tolist())


class RaggedBatches(keras.utils.PyDataset):
    """Batches of sequences of similar length, padded to one of a few lengths, with masks.

    Each bucket gives full batches only: sequences that fill none, the longest of the bucket, stand with those
    of the next one. So the shapes are one for each bucket; only the last bucket can have batches that are not
    full. Which sequences share a bucket does not change; the order in it and the order of batches are a
    function of (seed, epoch). `fit` shuffles batches once more, by global state, unless it is called with
    `shuffle=False`. Where the sequences of a batch are told from one another, as in contrastive learning,
    take one bucket: only then can any two of them meet.

    Args:
        sequences: a list of arrays `(length, ...)`, or anything with `len` and `[row]`, which may read from
            disk; what stands behind the length has one shape.
        arrays: dict of further arrays with a row for each sequence.
        lengths: of the sequences; `None` asks each one.
        buckets: ascending lengths to pad to; `None`: `bucket_lengths(lengths)`.
        batch_size: sequences in a batch, at least 1.
        shuffle: whether each epoch has an order of its own.
        seed: non-negative int.
        drop_remainder: leave out what fills no batch.
        ids: int array `(sequences,)`: no batch holds two sequences of an equal id; `None`: any may meet.
        pad_value: what stands behind a sequence.
        transform: `transform(batch, generator)` returns what becomes of a batch, such as noise; the NumPy
            generator is a function of (seed, epoch, batch). `None` leaves batches as they are.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of `keras.utils.PyDataset`.

    Attributes:
        epoch: counts the calls of `on_epoch_end`; set it to replay an epoch.

    Items: a dict of `sequences` `(batch, bucket, ...)` in their own dtype, `mask` `(batch, bucket)` bool,
        True for a real step, `rows` `(batch,)` int32, which sequences these are, and the rows of `arrays`.

    Raises:
        ValueError: if there is no sequence, one is empty, longer than the last bucket or differs in shape,
            arrays differ in length or are called as one of the above, or no batch would be left.
        TypeError: if ids are not integers.

    Example:

    >>> from contrast.data.buckets import RaggedBatches
    >>> clips = [np.ones((length, 2)) for length in (3, 9, 4, 7)]
    >>> batches = RaggedBatches(clips, buckets=(4, 10), batch_size=2, shuffle=False)
    >>> [batch["sequences"].shape for batch in batches]
    [(2, 4, 2), (2, 10, 2)]
    >>> batches[1]["mask"].sum(axis=1).tolist()
    [7, 9]
    """

    def __init__(
        self,
        sequences: Any,
        arrays: Mapping[str, ArrayLike] | None = None,
        lengths: ArrayLike | None = None,
        buckets: Sequence[int] | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        ids: ArrayLike | None = None,
        pad_value: float = 0,
        transform: Callable[[dict[str, np.ndarray], np.random.Generator], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sequences, self.arrays = sequences, _checked_arrays(arrays or {}, len(sequences))
        self.lengths = _checked_lengths([len(one) for one in sequences] if lengths is None else lengths)
        if len(self.lengths) != len(sequences):
            raise ValueError(f"lengths must be one a sequence, {len(sequences)}, got {len(self.lengths)}.")
        self.buckets = bucket_lengths(self.lengths) if buckets is None else _checked_buckets(buckets)
        if self.lengths.max() > self.buckets[-1]:
            raise ValueError(
                f"sequences must be no longer than the last bucket, {self.buckets[-1]}; sequence "
                f"{self.lengths.argmax()} has {self.lengths.max()} steps. Shorten it, or add a bucket."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.drop_remainder, self.pad_value, self.transform = drop_remainder, pad_value, transform
        ids = np.arange(len(sequences)) if ids is None else checked_ids(ids)
        if len(ids) != len(sequences):
            raise ValueError(f"ids must be one a sequence, {len(sequences)}, got {len(ids)}.")
        self._ids, self._groups = ids, self._grouped(ids)
        self.epoch = 0
        self._dealt: tuple[Any, Any] = (None, None)

    def __len__(self) -> int:
        return sum(batches for _, _, batches in self._groups)

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]
        if self._dealt[0] != self.epoch:
            self._dealt = (self.epoch, self._deal())
        bucket, rows = self._dealt[1][index]
        batch = self._padded(rows, bucket)
        if self.transform is None:
            return batch
        return self.transform(batch, np.random.default_rng((self.seed, self.epoch, index)))

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def _grouped(self, ids):
        """Triples of a bucket, the rows in it and the number of their batches."""
        groups, kept = [], np.zeros(0, int)
        starts = (0, *self.buckets[:-1])
        for start, bucket in zip(starts, self.buckets, strict=True):
            new = np.flatnonzero((self.lengths > start) & (self.lengths <= bucket))
            pool = np.concatenate([kept, new[np.argsort(self.lengths[new], kind="stable")]])
            batches = full_batches(ids[pool], self.batch_size)
            chosen = first_rows_that_fit(ids[pool], batches, self.batch_size)
            if batches:
                groups.append((bucket, pool[chosen], batches))
            kept = np.delete(pool, chosen)
        if len(kept) and not self.drop_remainder:
            groups.append((self.buckets[-1], kept, self._batches_of_rest(ids[kept])))
        if not groups:
            raise ValueError(
                f"batch_size must be at most the number of sequences with different ids, "
                f"{len(np.unique(ids))}, with drop_remainder; got {self.batch_size}."
            )
        return groups

    def _batches_of_rest(self, ids):
        batches = smallest_number_of_batches(ids, self.batch_size)
        if batches > 1 + len(ids) // self.batch_size:
            logger.warning(
                "%d sequences are in batches of %.1f on average, not %d, because their ids repeat.",
                len(ids),
                len(ids) / batches,
                self.batch_size,
            )
        return batches

    def _deal(self):
        """Pairs of a bucket and the rows of a batch, in the order of the epoch."""
        generator = np.random.default_rng((self.seed, self.epoch)) if self.shuffle else None
        dealt = [
            (bucket, rows[positions])
            for bucket, rows, batches in self._groups
            for positions in deal(self._ids[rows], batches, generator)
        ]
        return dealt if generator is None else [dealt[i] for i in generator.permutation(len(dealt))]

    def _padded(self, rows, bucket):
        mask = np.arange(bucket) < self.lengths[rows, None]
        padded = None
        for place, row in enumerate(rows):
            sequence = np.asarray(self.sequences[int(row)])
            if padded is None:
                padded = np.full((len(rows), bucket, *sequence.shape[1:]), self.pad_value, sequence.dtype)
            if sequence.shape != (self.lengths[row], *padded.shape[2:]):
                expected = (int(self.lengths[row]), *padded.shape[2:])
                raise ValueError(f"sequence {row} must have the shape {expected}, got {sequence.shape}.")
            padded[place, : len(sequence)] = sequence
        own = {"sequences": padded, "mask": mask, "rows": rows.astype("int32")}
        return own | {name: array[rows] for name, array in self.arrays.items()}


def _checked_arrays(arrays, count):
    taken = {"sequences", "mask", "rows"} & set(arrays)
    if taken:
        raise ValueError(f"arrays must have other names than {', '.join(sorted(taken))}.")
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    wrong = [f"{name} {len(array)}" for name, array in arrays.items() if len(array) != count]
    if wrong:
        raise ValueError(f"arrays must have a row for each of {count} sequences, got {', '.join(wrong)}.")
    return arrays


def _checked_lengths(lengths):
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or lengths.size == 0 or lengths.dtype.kind not in "iu":
        raise ValueError(f"sequences and lengths must be given, at least one, got {lengths.tolist()}.")
    if lengths.min() < 1:
        raise ValueError(f"sequences must have at least one step, got none in {int(lengths.argmin())}.")
    return lengths


def _checked_buckets(buckets):
    buckets = tuple(int(bucket) for bucket in buckets)
    if not buckets or buckets[0] < 1 or list(buckets) != sorted(set(buckets)):
        raise ValueError(f"buckets must be ascending lengths of at least 1, got {buckets}.")
    return buckets
