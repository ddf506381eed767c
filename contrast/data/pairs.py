from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from contrast.data.batches import ArrayBatches, checked_ids


class PairBatches(ArrayBatches):
    """Matching rows of two arrays, as images and captions: `((first, second), ids)`.

    Args:
        first, second: arrays `(pairs, ...)`; row i of one belongs to row i of the other.
        ids: int array `(pairs,)` of what pairs show; `None`: each pair its own.
        batch_size, shuffle, seed, drop_remainder, unique_ids, **kwargs: as for `contrast.data.ArrayBatches`.

    Items: `((first, second), ids)`; the ids are row numbers where none were given.

    Raises:
        ValueError: if the arrays are empty or differ in length.
        TypeError: if ids are not integers.

    Example:

    >>> batches = contrast.data.PairBatches(np.zeros((6, 4)), np.zeros((6, 8)), batch_size=3)
    >>> (first, second), ids = batches[0]
    >>> first.shape, second.shape, ids.shape
    ((3, 4), (3, 8), (3,))
    """

    def __init__(
        self,
        first: Any,
        second: Any,
        ids: ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        unique_ids: bool = False,
        **kwargs: Any,
    ) -> None:
        first, second = np.asarray(first), np.asarray(second)
        ids = np.arange(len(first)) if ids is None else checked_ids(ids)
        arrays = {"first": first, "second": second, "ids": ids}
        super().__init__(arrays, batch_size, shuffle, seed, drop_remainder, unique_ids, **kwargs)

    def __getitem__(self, index: int) -> tuple:
        rows = self.rows(index)
        return (self.arrays["first"][rows], self.arrays["second"][rows]), self.arrays["ids"][rows]
