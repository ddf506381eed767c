"""What the batches of arrays have in common: order, seeds, checks."""

import logging
import math
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from contrast.data.unique_rows import deal, first_rows_that_fit, full_batches, smallest_number_of_batches

logger = logging.getLogger("contrast")


class ArrayBatches(keras.utils.PyDataset):
    """Batches of rows of arrays, in an order that is a function of (seed, epoch).

    `fit` shuffles batches once more, by global state, unless it is called with `shuffle=False`.

    Args:
        arrays: dict of arrays with the same, non-zero number of rows.
        batch_size: rows in a batch, at least 1.
        shuffle: whether each epoch has an order of its own; otherwise rows come as given.
        seed: non-negative int.
        drop_remainder: leave out the last batch if it is not full, so that all batches have one shape.
        unique_ids: no batch holds two rows of one id, as two captions of one image or one sentence twice;
            the arrays then have integers named `ids`. Batches become smaller where ids repeat much; with
            `drop_remainder` all are full, and rows that do not fit are left out, others in each epoch.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of `keras.utils.PyDataset`.

    Attributes:
        epoch: counts the calls of `on_epoch_end`; set it to replay an epoch.

    Raises:
        ValueError: if arrays differ in length or are empty, there are no ids to keep apart, or no batch would
            be left.
    """

    def __init__(
        self,
        arrays: dict[str, Any],
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        unique_ids: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ValueError(f"arrays must have the same length, at least 1, got {lengths}.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.arrays = arrays
        self.count = next(iter(lengths.values()))
        if drop_remainder and batch_size > self.count:
            raise ValueError(
                f"batch_size {batch_size} exceeds the {self.count} rows, and drop_remainder is set."
            )
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.drop_remainder, self.unique_ids = drop_remainder, unique_ids
        self.epoch = 0
        self._dealt: tuple[Any, Any] = (None, None)
        if unique_ids:
            self._batches = self._number_of_batches(arrays.get("ids"))

    def __len__(self) -> int:
        if self.unique_ids:
            return self._batches
        if self.drop_remainder:
            return self.count // self.batch_size
        return math.ceil(self.count / self.batch_size)

    def rows(self, index: int) -> np.ndarray:
        """Row numbers of batch `index` in the current epoch."""
        index = range(len(self))[index]
        if self.unique_ids:
            return self._batches_of_epoch()[index]
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def _number_of_batches(self, ids):
        if ids is None:
            raise ValueError("unique_ids needs integer ids, got none.")
        if not self.drop_remainder:
            batches = smallest_number_of_batches(ids, self.batch_size)
            if batches > 2 * math.ceil(self.count / self.batch_size):
                logger.warning(
                    "One id has %d of %d rows: batches without a repeated id hold %.1f rows, not %d.",
                    np.unique(ids, return_counts=True)[1].max(),
                    self.count,
                    self.count / batches,
                    self.batch_size,
                )
            return batches
        batches = full_batches(ids, self.batch_size)
        if not batches:
            raise ValueError(
                f"batch_size must be at most the number of different ids, {len(np.unique(ids))}, "
                f"with unique_ids and drop_remainder; got {self.batch_size}."
            )
        return batches

    def _batches_of_epoch(self):
        if self._dealt[0] != self.epoch:
            self._dealt = (self.epoch, self._deal())
        return self._dealt[1]

    def _deal(self):
        generator = np.random.default_rng((self.seed, self.epoch)) if self.shuffle else None
        rows = np.arange(self.count) if generator is None else generator.permutation(self.count)
        ids = np.asarray(self.arrays["ids"])
        if self.drop_remainder:
            rows = rows[first_rows_that_fit(ids[rows], self._batches, self.batch_size)]
        return [rows[positions] for positions in deal(ids[rows], self._batches, generator)]


def checked_ids(ids: ArrayLike | None) -> np.ndarray | None:
    """Ids as an int array, or `None`; strings and floats are refused with what to do instead."""
    if ids is None:
        return None
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu" or ids.ndim != 1:
        raise TypeError(
            f"ids must be a one-dimensional integer array, got {ids.dtype} of shape {ids.shape}. Number "
            "labels with np.unique(labels, return_inverse=True)[1]."
        )
    return ids
