from typing import Any

import keras


class ReplicaBatches(keras.utils.PyDataset):
    """What one process trains on: its rows of the batches that all processes make.

    Every process makes the whole batch, augmentation included, and keeps a part: together they see what a
    training on one device sees. Batches are divided as evenly as they can be: 5 rows over 2 processes are 2
    and 3.

    Args:
        batches: a `keras.utils.PyDataset`, the same in all processes: made from the same seed.
        index: which process this is, from 0.
        processes: how many there are.
        devices: devices of each process.
        even: every device needs as many rows.
        drop_rows: leave out what the devices cannot share: a last batch of fewer rows than there are devices
            and, with `even`, the last rows of a batch that they do not divide.

    Items: those of `batches` with fewer rows. Every array of an item has the rows of the batch first.

    Raises:
        TypeError: if `batches` is no `keras.utils.PyDataset`.
        ValueError: for another batch of fewer rows than there are devices or, with `even` and without
            `drop_rows`, of a number of rows that they do not divide.

    Example:

    >>> batches = contrast.data.ViewBatches(np.zeros((5, 4)), lambda x, _: x, batch_size=5)
    >>> [contrast.distribution.ReplicaBatches(batches, index, 2)[0].shape[0] for index in range(2)]
    [2, 3]
    """

    def __init__(
        self,
        batches: keras.utils.PyDataset,
        index: int = 0,
        processes: int = 1,
        devices: int = 1,
        even: bool = False,
        drop_rows: bool = False,
    ) -> None:
        if not isinstance(batches, keras.utils.PyDataset):
            raise TypeError(
                f"batches must be a keras.utils.PyDataset, got {type(batches).__name__}; divide data of "
                "another kind over the processes before you give them to fit."
            )
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self.batches, self.index, self.processes = batches, index, processes
        self.devices, self.even, self.drop_rows = devices, even, drop_rows
        self.count = len(batches)
        if drop_rows and self.count > 1 and _rows(batches[self.count - 1]) < processes * devices:
            self.count -= 1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        item = self.batches[index]
        rows, devices = _rows(item), self.processes * self.devices
        too_many = rows % devices if self.even else 0
        if rows < devices or (too_many and not self.drop_rows):
            raise ValueError(
                f"batch {index} has {rows} rows, which cannot be divided "
                f"{'evenly ' if self.even else ''}over {devices} devices; choose another "
                "batch size, or leave the last batch out (drop_remainder=True)."
            )
        rows -= too_many
        start, end = (rows * part // self.processes for part in (self.index, self.index + 1))
        return keras.tree.map_structure(lambda array: array[start:end], item)

    def on_epoch_begin(self) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()


def _rows(item):
    return len(keras.tree.flatten(item)[0])
