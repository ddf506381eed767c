"""What the arms of the experiment share: its sizes, the studies of a seed, and stage 1."""

import dataclasses
import functools
import time
from typing import NamedTuple

import keras
import numpy as np

from applications.report_generation.architecture import Architecture
from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.image_encoders import ConvolutionTokens
from applications.report_generation.image_features import ImageFeatures, encode_images
from applications.report_generation.recipes import PretrainingRecipe
from applications.report_generation.retrieval import report_recall
from applications.report_generation.stages import fit_image_encoder, fit_pretraining
from applications.report_generation.study import MAX_COMPANIONS, Study, without
from applications.report_generation.text import ReportTokenizer, study_texts
from applications.report_generation.training import small_architecture


class Setting(NamedTuple):
    """How many patients of each kind, how many epochs of each stage, and most tokens of texts.

    `max_length` is that of reports, `max_texts` that of facts and of prompts. `slots` are those of
    `StudyBatches`; given, arms that lack images share what is compiled for those that have them.
    """

    train: int = 1000
    validation: int = 50
    test: int = 200
    encoder_patients: int = 250
    encoder_epochs: int = 6
    first: int = 12
    second: int = 8
    long: int = 13
    every: int = 2
    candidates: int = 256
    max_length: int = 64
    max_texts: int = 48
    slots: int | None = None


FULL = Setting()
FAST = Setting(12, 4, 4, 12, 1, 1, 1, 2, 1, 8, 12, 24, MAX_COMPANIONS)


class Corpus(NamedTuple):
    train: list[Study]
    validation: list[Study]
    test: list[Study]
    features: ImageFeatures
    encoder: ConvolutionTokens
    tokenizer: ReportTokenizer
    architecture: Architecture


class FirstStage(NamedTuple):
    """Weights of stage 1, how well it finds reports, its curves, and the seconds it took."""

    weights: list[np.ndarray]
    recall: dict[str, float]
    history: dict[str, list[float]]
    seconds: float


def setting_of(fast: bool) -> Setting:
    """The sizes of the experiment, or those of a quick look at whether it runs."""
    return FAST if fast else FULL


@functools.lru_cache(maxsize=4)
def seed_corpus(seed, fast) -> Corpus:
    """The studies of a seed, and the tokens of their images."""
    setting, world = setting_of(fast), RadiographWorld(seed)
    parts = [
        world.studies(count, split)
        for split, count in (
            ("train", setting.train),
            ("validation", setting.validation),
            ("test", setting.test),
        )
    ]
    tokenizer = ReportTokenizer.fit(study_texts(parts[0]))
    keras.utils.set_random_seed(seed)
    patients = {study.patient for study in parts[0]}
    seen = set(sorted(patients)[: setting.encoder_patients])
    encoder = fit_image_encoder(
        [study for study in parts[0] if study.patient in seen],
        ConvolutionTokens(seed=seed),
        epochs=setting.encoder_epochs,
        seed=seed,
    )
    features = encode_images([study for part in parts for study in part], encoder, batch_size=256)
    sizes = small_architecture(parts[0], tokenizer, seed)
    sizes = dataclasses.replace(
        sizes,
        max_length=min(sizes.max_length, setting.max_length),
        max_facts=min(sizes.max_facts, setting.max_texts),
        max_prompt=min(sizes.max_prompt, setting.max_texts),
    )
    return Corpus(*parts, features, encoder, tokenizer, sizes)


@functools.lru_cache(maxsize=16)
def seed_first_stage(seed, fast, missing, temperature) -> FirstStage:
    """Stage 1 of a seed, as weights."""
    setting, corpus = setting_of(fast), seed_corpus(seed, fast)
    keras.utils.set_random_seed(seed)
    studies = [without(study, missing) for study in corpus.train]
    recipe = PretrainingRecipe.small(
        setting.first, temperature=temperature, batch_size=min(32, len(studies) // 2)
    )
    started = time.monotonic()
    model = fit_pretraining(
        studies,
        corpus.tokenizer,
        recipe,
        architecture=corpus.architecture,
        features=corpus.features,
        slots=setting.slots,
        seed=seed,
    )
    seconds = time.monotonic() - started
    test = [without(study, missing) for study in corpus.test]
    recall = report_recall(model, test[: setting.candidates], corpus.features, corpus.tokenizer)
    history = model.history.history
    return FirstStage(
        model.get_weights(),
        recall,
        {name: list(history[name]) for name in ("view_loss", "alignment_loss")},
        seconds,
    )
