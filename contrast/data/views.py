from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from contrast.data.batches import ArrayBatches, checked_ids
from contrast.data.image_folder import ImageFolder


class ViewBatches(ArrayBatches):
    """Several augmented views of each sample: `(batch, views, ...)`, with ids if there are any.

    Args:
        samples: array `(samples, ...)`, or a `contrast.data.ImageFolder`.
        augmentation: `augmentation(samples, generator)` returns a view of each sample, drawing from the NumPy
            generator it is given, which is a function of (seed, epoch, batch, view); or a Keras layer,
            called with `training=True`, which draws from its own seed.
        ids: int array `(samples,)`, or `None`.
        views: how many views of each sample.
        batch_size, shuffle, seed, drop_remainder, unique_ids, **kwargs: as for `keras.utils.PyDataset` and
            `contrast.data.ArrayBatches`.

    Items: views, or the pair of views and ids.

    Raises:
        ValueError: if `views` is below 1, samples are empty, differ in shape or differ from ids in length, or
            the augmentation changes the number of samples.
        TypeError: if ids are not integers.

    Example:

    >>> def noise(samples, generator):
    ...     return samples + generator.normal(0, 0.1, samples.shape)
    >>> batches = contrast.data.ViewBatches(np.zeros((10, 4), "float32"), noise, batch_size=5)
    >>> batches[0].shape
    (5, 2, 4)
    """

    def __init__(
        self,
        samples: Any,
        augmentation: Any,
        ids: ArrayLike | None = None,
        views: int = 2,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        unique_ids: bool = False,
        **kwargs: Any,
    ) -> None:
        if views < 1:
            raise ValueError(f"views must be at least 1, got {views}.")
        shapes = {np.shape(sample) for sample in samples} if isinstance(samples, list | tuple) else set()
        if len(shapes) > 1:
            some = ", ".join(map(str, sorted(shapes)[:4]))
            raise ValueError(f"samples must have one shape, got {some}; scale them to one size.")
        arrays = {"samples": samples if isinstance(samples, ImageFolder) else np.asarray(samples)}
        if ids is not None:
            arrays["ids"] = checked_ids(ids)
        super().__init__(arrays, batch_size, shuffle, seed, drop_remainder, unique_ids, **kwargs)
        self.augmentation, self.views = augmentation, views

    def __getitem__(self, index: int) -> Any:
        rows = self.rows(index)
        samples = self.arrays["samples"][rows]
        views = np.stack([self._view(samples, index, view) for view in range(self.views)], axis=1)
        return (views, self.arrays["ids"][rows]) if "ids" in self.arrays else views

    def _view(self, samples, index, view):
        if isinstance(self.augmentation, keras.Layer):
            augmented = keras.ops.convert_to_numpy(self.augmentation(samples, training=True))
        else:
            index = range(len(self))[index]
            generator = np.random.default_rng((self.seed, self.epoch, index, view))
            augmented = np.asarray(self.augmentation(samples, generator))
        if len(augmented) != len(samples):
            raise ValueError(
                f"augmentation must return one view a sample, got {len(augmented)} for {len(samples)}."
            )
        # Token ids stay integers.
        dtype = augmented.dtype if augmented.dtype.kind == "i" else keras.config.floatx()
        return augmented.astype(dtype, copy=False)
