"""What the batches of arrays have in common: order, seeds, checks."""

import math

import keras
import numpy as np


class ArrayBatches(keras.utils.PyDataset):
    """Batches of rows of arrays, in an order that is a function of (seed, epoch).

    `fit` shuffles batches once more, by global state, unless it is called with `shuffle=False`.

    Args:
        arrays: dict of arrays with the same, non-zero number of rows.
        batch_size: rows in a batch, at least 1.
        shuffle: whether each epoch has an order of its own; otherwise rows come as given.
        seed: non-negative int.
        drop_remainder: leave out the last batch if it is not full, so that all batches have one shape.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of `keras.utils.PyDataset`.

    Attributes:
        epoch: counts the calls of `on_epoch_end`; set it to replay an epoch.

    Raises:
        ValueError: if arrays differ in length or are empty, or no batch would be left.
    """

    def __init__(self, arrays, batch_size=32, shuffle=True, seed=0, drop_remainder=False, **kwargs):
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
        self.drop_remainder = drop_remainder
        self.epoch = 0

    def __len__(self):
        if self.drop_remainder:
            return self.count // self.batch_size
        return math.ceil(self.count / self.batch_size)

    def rows(self, index):
        """Row numbers of batch `index` in the current epoch."""
        index = range(len(self))[index]
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def on_epoch_end(self):
        self.epoch += 1


def checked_ids(ids):
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
