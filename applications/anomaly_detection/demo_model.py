"""The detector of the demo: trained in about a minute, the first one kept in a cache."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from applications.anomaly_detection.baselines import raw_pixel_score
from applications.anomaly_detection.demo_corpora import DemoCorpus, built_in
from applications.anomaly_detection.evaluation import auroc
from applications.anomaly_detection.patches import heat_maps
from applications.anomaly_detection.shift_probe import choose_shift
from applications.anomaly_detection.unicon_ha import SMALL_STAGES, Recipe, UniConHA
from applications.demo_cache import TrainingBar, cache_folder, cache_name, read_cached, write_cached

DEFAULT = "Faces"
STEPS = 250
STRIDE = 8

logger = logging.getLogger("contrast")


@dataclass(frozen=True, eq=False)
class Judged:
    """What a detector says of some pictures.

    Args:
        scores: `(pictures,)`, higher for more normal; of larger pictures the score of the oddest place.
        maps: the heat maps `(pictures, height, width)` of larger pictures, else `None`.
    """

    scores: np.ndarray
    maps: np.ndarray | None


@dataclass(frozen=True, eq=False)
class DemoModel:
    """A trained detector, what it was trained on, and what it says of the other pictures.

    Args:
        corpus: its pictures.
        detector: trained on `corpus.train`.
        loss: of each epoch.
        held_out: scores of `corpus.held_out`, which set the threshold.
        tests: what is said of `corpus.tests`.
        raw_pixels: AUROC of the nearest neighbour of raw pixels on the tests; `None` if they are of one kind.
    """

    corpus: DemoCorpus
    detector: UniConHA
    loss: tuple[float, ...]
    held_out: np.ndarray
    tests: Judged
    raw_pixels: float | None

    def threshold(self, false_alarm_rate: float) -> float:
        """The threshold that calls at most this share of the held-out normal pictures odd."""
        return float(np.quantile(self.held_out, false_alarm_rate, method="lower"))

    @property
    def auroc(self) -> float | None:
        """AUROC on the test pictures; `None` if they are of one kind."""
        is_normal = self.corpus.is_normal
        return auroc(is_normal, self.tests.scores) if 0 < is_normal.sum() < len(is_normal) else None


def judge(score, pictures: np.ndarray, patch: tuple[int, int], stride: int = STRIDE) -> Judged:
    """Scores pictures whole if they are as large as a patch, else by their oddest place.

    Args:
        score: from images `(count, *patch, channels)` to scores `(count,)`.
        pictures: `(count, height, width, channels)`, each side at least that of a patch.
        patch: height and width of what is scored.
        stride: pixels from one patch to the next.
    """
    if pictures.shape[1:3] == tuple(patch):
        return Judged(score(pictures), None)
    maps = heat_maps(score, pictures, patch, stride)
    return Judged(1 - maps.max(axis=(1, 2)), maps)


def small_detector(corpus: DemoCorpus) -> UniConHA:
    """An untrained detector for the corpus; to save time, its last stage alone will be trained."""
    shift = choose_shift(corpus.train)
    detector = UniConHA.small(stages=SMALL_STAGES[-1:], soft=False, shift=shift, flip=corpus.flip)
    detector.build(corpus.train.shape)
    return detector


def small_recipe(images: int, steps: int = STEPS) -> Recipe:
    """So many epochs that a training has about `steps` steps."""
    return Recipe.small(max(1, math.ceil(steps / math.ceil(images / Recipe.batch_size))))


def train(corpus: DemoCorpus, steps: int = STEPS, callbacks=()) -> DemoModel:
    """Trains a detector and judges the pictures of the corpus.

    Args:
        corpus: its pictures.
        steps: of the optimizer, about.
        callbacks: of Keras, which may stop the training.
    """
    detector, recipe = small_detector(corpus), small_recipe(len(corpus.train), steps)
    detector.compile(recipe.optimizer(len(corpus.train)))
    run = detector.fit(corpus.train, **recipe.fit_options(), verbose=0, callbacks=list(callbacks))
    return judged(corpus, detector, run.history["loss"])


def judged(corpus: DemoCorpus, detector: UniConHA, loss) -> DemoModel:
    """A trained detector with what it says of the pictures of its corpus."""
    patch = corpus.train.shape[1:3]

    def pixels(images):
        return raw_pixel_score(corpus.train, images, subtract_mean=True)

    both_kinds = len(set(corpus.is_normal)) == 2
    return DemoModel(
        corpus,
        detector,
        tuple(loss),
        judge(detector.score, corpus.held_out, patch).scores,
        judge(detector.score, corpus.tests, patch),
        auroc(corpus.is_normal, judge(pixels, corpus.tests, patch).scores) if both_kinds else None,
    )


def load_or_train(steps: int = STEPS, seed: int = 0, folder: Path | None = None) -> DemoModel:
    """The detector that the demo starts with, from the cache if it was trained before, on any backend.

    Args:
        steps: of the optimizer, about.
        seed: fixes the split, the order and the first weights; sets all global generators.
        folder: of the cache; `cache_folder()` if not given.

    Raises:
        MissingPackageError: if scikit-image, which holds the pictures, is not installed.
    """
    folder = cache_folder() if folder is None else folder
    corpus = built_in(DEFAULT, seed)
    keras.utils.set_random_seed(seed)
    recipe = small_recipe(len(corpus.train), steps)
    name = cache_name("anomaly_detection", corpus=DEFAULT, seed=seed, **asdict(recipe))
    detector = small_detector(corpus)
    history = read_cached(folder, name, detector, ["loss"])
    if history is not None:
        return judged(corpus, detector, history["loss"])
    logger.info("Training on %d pictures of faces; it sees nothing else.", len(corpus.train))
    model = train(corpus, steps, [TrainingBar("loss {loss:.2f}")])
    write_cached(folder, name, model.detector, {"loss": model.loss})
    return model
