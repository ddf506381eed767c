"""Batches of single images, and of two views as the two sides of a pair."""

import keras

from contrast.data.batches import ArrayBatches


class ImageBatches(ArrayBatches):
    """Batches of images, with labels if there are any, in an order that is a function of (seed, epoch).

    Args:
        images: `(count, height, width, channels)`.
        labels: int `(count,)`, or `None`.
        batch_size, seed: as for `contrast.data.ArrayBatches`.

    Items: images, or the pair of images and labels. The last batch of an epoch is left out unless it is full.
    """

    def __init__(self, images, labels=None, batch_size=256, seed=0):
        arrays = {"images": images} if labels is None else {"images": images, "labels": labels}
        super().__init__(arrays, min(batch_size, len(images)), seed=seed, drop_remainder=True)

    def __getitem__(self, index):
        rows = self.rows(index)
        images = self.arrays["images"][rows]
        return (images, self.arrays["labels"][rows]) if "labels" in self.arrays else images


class TwoSides(ImageBatches):
    """Two views of each image as a pair: `((view, view),)`, for a model with two encoders.

    Args:
        images, batch_size, seed: see `ImageBatches`.
        augmentation: a layer that draws one view.
    """

    def __init__(self, images, augmentation, batch_size=256, seed=0):
        super().__init__(images, None, batch_size, seed)
        self.augmentation = augmentation

    def __getitem__(self, index):
        images = super().__getitem__(index)
        views = [self.augmentation(images, training=True) for _ in range(2)]
        return (tuple(keras.ops.convert_to_numpy(view) for view in views),)
