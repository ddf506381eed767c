"""What `contrast train anomaly_detection` does."""

import logging
from pathlib import Path

import numpy as np

from applications.anomaly_detection.corpus import digits
from applications.anomaly_detection.evaluation import judged
from applications.anomaly_detection.formats import Category, is_category, load_folder, read_category
from applications.anomaly_detection.patches import cut_patches
from applications.anomaly_detection.shift_probe import choose_shift
from applications.anomaly_detection.unicon_ha import Recipe, UniConHA
from applications.files import json_text, write_text
from contrast.data.batches import ArrayBatches

PATCH, PICTURE, PATCHES = 32, 128, 512
EVALUATION = "evaluation.json"

logger = logging.getLogger("contrast")


class ImageBatches(ArrayBatches):
    """Batches of images, with labels if there are any, in an order that is a function of (seed, epoch).

    Args:
        images: `(count, height, width, channels)`.
        labels: int `(count,)`, or `None`.
        batch_size, seed: as for `contrast.data.batches.ArrayBatches`.

    Items: images, or the pair of images and labels.
    """

    def __init__(self, images, labels=None, batch_size=32, seed=0):
        arrays = {"images": images} if labels is None else {"images": images, "labels": labels}
        super().__init__(arrays, batch_size, seed=seed)

    def __getitem__(self, index):
        rows = self.rows(index)
        images = self.arrays["images"][rows]
        return (images, self.arrays["labels"][rows]) if "labels" in self.arrays else images


def train(run, *, data: Path | None = None, seed: int = 0, epochs: int | None = None) -> UniConHA:
    """Trains a small detector for the command line and sets its threshold for 5 % false alarms.

    A tenth of the images, but at least 2, is held out for the threshold. Of a category of MVTec-AD the
    detector learns 32 x 32 patches of the pictures, which are scaled to 128 x 128, as DROC's code does at
    256 x 256; AUROC of test pictures and pixels is written to `evaluation.json`.

    Args:
        run: the `applications.runs.RunFolder`, which keeps what this returns.
        data: a folder of normal pictures for `load_folder`, which are scaled to 32 x 32 pixels, or a category
            of MVTec-AD; `None`: built-in handwritten threes.
        seed: moves the images held out, patches, the order and the initial weights.
        epochs: `None`: 12 on the built-in images, 60 on a folder.

    Returns:
        The trained detector.

    Raises:
        ValueError: if there are fewer than 4 images, or as for `load_folder` and `read_category`.
    """
    if data is not None and is_category(data):
        return _train_on_category(run, read_category(data, PICTURE), data, seed, epochs or 60)
    images, labels = (digits(3, seed).train, None) if data is None else load_folder(data, PATCH)
    held_out, rows = _split(len(images), seed, data)
    labels = None if labels is None else labels[rows]
    detector = _fitted(
        run, images[rows], labels, seed, epochs or (12 if data is None else 60), data is not None
    )
    detector.calibrate(images[held_out])
    return detector


def evaluate(detector: UniConHA, category: Category, stride: int = 8) -> dict[str, float]:
    """How well heat maps tell the test pictures of a category, and their pixels, apart.

    A picture is as odd as its hottest pixel.

    Args:
        detector: learned patches of the category's normal pictures.
        category: as `read_category` gives it.
        stride: see `AnomalyDetector.heat_map`.

    Returns:
        `auroc` of the pictures, and `pixel_auroc` where there are masks.
    """
    return judged(category.is_normal, category.masks, detector.heat_map(category.test.images, stride))


def _train_on_category(run, category, data, seed, epochs):
    pictures = category.train.images
    held_out, rows = _split(len(pictures), seed, data)
    patches = cut_patches(pictures[rows], PATCH, PATCH // 2)
    few = np.random.default_rng(seed).permutation(len(patches))[:PATCHES]
    detector = _fitted(run, patches[few], None, seed, epochs, flip=True)
    detector.calibrate(cut_patches(pictures[held_out], PATCH, PATCH))
    scores = evaluate(detector, category)
    write_text(run.path / EVALUATION, json_text(scores))
    logger.info("Test pictures: %s.", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    return detector


def _split(count, seed, data):
    """Positions of the images held out, and of the others."""
    if count < 4:
        raise ValueError(f"data must hold at least 4 normal images, got {count} in {data}.")
    return np.split(np.random.default_rng(seed).permutation(count), [max(2, count // 10)])


def _fitted(run, images, labels, seed, epochs, flip):
    recipe = Recipe.small(epochs)
    detector = UniConHA.small(shift=choose_shift(images), flip=flip)
    detector.build(images.shape)
    detector.compile(**recipe.compile_options(len(images)))
    run.fit(detector, ImageBatches(images, labels, recipe.batch_size, seed), epochs=epochs, shuffle=False)
    detector.remember(images)
    return detector
