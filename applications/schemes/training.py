"""What `contrast train schemes` does."""

from pathlib import Path

import keras

from applications.schemes.batches import ImageBatches
from applications.schemes.corpus import digits, read_folder
from applications.schemes.small import Recipe, small_encoder, two_views
from contrast.augmentation import MultiView, simclr_augmentation
from contrast.encoders import ConvNet
from contrast.models import SimCLR

SIDE = 32  # pixels a side of your pictures
ENCODER = "encoder.keras"


def train(run, *, data: Path | None = None, seed: int = 0, epochs: int | None = None) -> SimCLR:
    """Trains a small SimCLR for the command line; the encoder alone is saved as `encoder.keras`, too.

    Args:
        run: the `applications.runs.RunFolder`, which keeps what this returns.
        data: a folder of pictures, in folders or not, which are scaled to 32 x 32 pixels; no label is read.
            `None`: built-in handwritten digits.
        seed: moves the views, the order and the initial weights.
        epochs: `None`: 20 on the digits, 100 on a folder.

    Returns:
        The trained scheme; `predict(images)` gives features.

    Raises:
        ValueError: if the folder holds fewer than two pictures.
    """
    if data is None:
        images, encoder, views = digits()["train"].images, small_encoder(), two_views(seed)
    else:
        images, encoder = read_folder(data, SIDE), ConvNet((32, 64, 128))
        views = MultiView(simclr_augmentation(SIDE, seed=seed), 2)
    recipe = Recipe(min(Recipe.batch_size, len(images)), epochs or (20 if data is None else 100))
    model = SimCLR(encoder, views, projector=(256, 64))
    steps = 1 if keras.backend.backend() == "torch" else min(25, len(images) // recipe.batch_size)
    model.compile(recipe.optimizer(len(images)), steps_per_execution=steps)
    batches = ImageBatches(images, None, recipe.batch_size, seed)
    run.fit(model, batches, epochs=recipe.epochs, shuffle=False)
    encoder.save(run.path / ENCODER)
    return model
