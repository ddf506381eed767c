"""Images as tokens of a frozen encoder, computed once."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from applications.report_generation.image_files import fit_size, load_image
from applications.report_generation.study import Study, View
from contrast.features import cached_features, predict_rows


class ImageFeatures(NamedTuple):
    """Tokens of images: `tokens` `(images, tokens, width)`, and the row of each image by its key."""

    tokens: np.ndarray
    rows: dict[str, int]


def encode_images(
    studies: Sequence[Study],
    encoder: keras.Model,
    folder: str | os.PathLike | None = None,
    batch_size: int = 32,
    verbose: bool = True,
) -> ImageFeatures:
    """The tokens of all images of some studies, each image once.

    Args:
        studies: whose views and prior images are encoded.
        encoder: a frozen encoder with an attribute `image_size`, such as those of `image_encoders`.
        folder: where the tokens are kept, see `contrast.features.cached_features`: another encoder or other
            images are noticed, and encoded anew. `None`: in memory, as float16.
        batch_size: images that are encoded at once.
        verbose: whether to show progress, with a folder.

    Raises:
        ValueError: if there is no study, or an image cannot be read.
    """
    views: dict[str, View] = {view.key: view for study in studies for view in study.images}
    if not views:
        raise ValueError("studies must hold at least one image, got none.")
    rows = {key: row for row, key in enumerate(views)}
    images = _Pixels(list(views.values()), encoder.image_size, batch_size)
    if folder is not None:
        return ImageFeatures(
            cached_features(encoder, images, folder, batch_size=batch_size, verbose=verbose), rows
        )
    tokens = [predict_rows(encoder, images[number]) for number in range(len(images))]
    return ImageFeatures(np.concatenate(tokens).astype("float16"), rows)


def pixels(view: View, size: tuple[int, int]) -> np.ndarray:
    """The image of a view as floats in [0, 1], of this size."""
    if not isinstance(view.image, np.ndarray):
        image = load_image(view.image, size)
    else:
        image = view.image if view.image.shape == tuple(size) else fit_size(view.image, size)
    return (image / np.float32(255) if image.dtype == np.uint8 else image).astype("float32")


class _Pixels(keras.utils.PyDataset):
    """Batches of images, read when they are needed."""

    def __init__(self, views, size, batch_size):
        super().__init__()
        self.views, self.size, self.batch_size = views, size, batch_size

    def __len__(self):
        return -(-len(self.views) // self.batch_size)

    def __getitem__(self, index):
        part = self.views[index * self.batch_size : (index + 1) * self.batch_size]
        return np.stack([pixels(view, self.size) for view in part])
