"""The models of the demo: trained once on rendered radiographs, then read from a cache."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from applications.demo_cache import (
    BarredRun,
    cache_folder,
    cache_name,
    curves_of,
    read_cached,
    write_cached,
)
from applications.report_generation.architecture import Architecture
from applications.report_generation.baselines import all_normal_report, copy_prior_facts, copy_prior_text
from applications.report_generation.callbacks import ReportScores
from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.evaluation import report_scores
from applications.report_generation.image_encoders import ConvolutionTokens
from applications.report_generation.image_features import ImageFeatures, encode_images
from applications.report_generation.mlrg import MLRG
from applications.report_generation.recipes import PretrainingRecipe, ReportRecipe
from applications.report_generation.retrieval import report_recall
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.stages import fit_image_encoder, fit_stages, new_model
from applications.report_generation.study import PARTS, Study, without
from applications.report_generation.text import ReportTokenizer
from applications.runs import StageFit

__all__ = ["BASELINES", "METRICS", "WITHHELD", "DemoModel", "load_or_train"]

LENGTHS = {"max_length": 88, "max_facts": 60, "max_prompt": 72}  # of rendered texts, with some room
ENCODER_PATIENTS = 300
METRICS = ("ce_f1", "progression_f1", "bleu_4", "rouge_l")
WITHHELD = {
    "nothing": (),
    "further views": ("views",),
    "prior image": ("prior_image",),
    "previous report": ("prior_report",),
    "indication": ("indication",),
    "all of these": PARTS,
}
BASELINES = {
    "all normal": lambda study: all_normal_report(),
    "previous report, copied": copy_prior_text,
    'previous report, all "unchanged"': copy_prior_facts,
}
RECALLS = ("recall_at_1", "recall_at_5")
PAIR_CURVES = ("alignment_loss", "view_loss")
CURVES = ("loss", "val_ce_f1", "val_bleu_4")
BARS = {
    "images": "image encoder: loss {loss:.4f}",
    "pretraining": "stage 1, views and facts: loss {loss:.2f}",
    "reports": "stage 2, reports: loss {loss:.2f}, clinical F1 {val_ce_f1:.2f}",
}

logger = logging.getLogger("contrast")


@dataclass(frozen=True, eq=False)
class DemoModel:
    """Trained models and what they can be shown on.

    Args:
        model: writes reports; holds the image encoder.
        first: stage 1, which compares images with facts.
        held_out: studies of patients that no stage has seen.
        features: tokens of their images.
        history: `loss`, `val_ce_f1` and `val_bleu_4` of each epoch of stage 2, `alignment_loss` and
            `view_loss` of stage 1.
        every: epochs between two values of `val_ce_f1`.
        scores: for each key of `WITHHELD` the `METRICS` on `held_out` without these parts.
        baselines: the same for each of `BASELINES`.
        recall: `recall_at_1` and `recall_at_5` of stage 1 among `held_out`.
    """

    model: MLRG
    first: MLRGPretraining
    held_out: list[Study]
    features: ImageFeatures
    history: dict[str, list[float]]
    every: int
    scores: dict[str, dict[str, float]]
    baselines: dict[str, dict[str, float]]
    recall: dict[str, float]


def load_or_train(
    patients: int = 1000,
    held_out: int = 60,
    pair_epochs: int = 10,
    epochs: int = 12,
    seed: int = 0,
    folder: Path | None = None,
) -> DemoModel:
    """The models of the demo, from the cache if they were trained before, on whichever backend.

    A file of the cache that is missing, cut off or damaged means training again; a cache that cannot be
    written costs a warning.

    Args:
        patients: to train on, with about 2.5 visits each; the image encoder sees the first 300.
        held_out: patients to show and to measure on.
        pair_epochs: of stage 1.
        epochs: of stage 2.
        seed: fixes the patients, the order and the first weights; sets all global generators.
        folder: of the cache; `cache_folder()` if not given.

    Raises:
        MissingPackageError: if `tokenizers`, scikit-learn or pycocoevalcap is not installed.
    """
    folder = cache_folder() if folder is None else folder
    world = RadiographWorld(seed)
    test = world.studies(held_out, "test")
    visits = [visit for patient in world.patients(patients) for visit in patient.visits]
    tokenizer = ReportTokenizer.fit(
        text for visit in visits for text in (visit.report, *visit.facts, visit.indication) if text
    )
    batch = min(32, len(visits) // 2)
    recipes = (
        PretrainingRecipe.small(pair_epochs, batch_size=batch),
        ReportRecipe.small(epochs, batch_size=batch),
    )
    encoder = ConvolutionTokens(seed=seed)
    encoder.build((None, *encoder.image_size))
    architecture = Architecture.small(tokenizer.size, encoder.image_dim, seed=seed, **LENGTHS)
    options = {"patients": patients, "held_out": held_out, "seed": seed}
    options |= {"first": asdict(recipes[0]), "second": asdict(recipes[1])}
    names = [cache_name(f"report_generation_{part}", **options) for part in ("pairs", "reports")]
    models = new_model(MLRGPretraining(architecture)), new_model(MLRG(architecture, tokenizer, encoder))
    kept = (PAIR_CURVES + RECALLS, CURVES + METRICS)
    histories = [
        read_cached(folder, name, model, curves)
        for name, model, curves in zip(names, models, kept, strict=True)
    ]
    every = max(1, epochs // 6)
    if None in histories:
        validation = world.studies(max(1, held_out // 3), "validation")
        models = _train(world.studies(patients), validation, every, tokenizer, *recipes, seed)
        histories = _measured(*models, test)
        for name, model, history in zip(names, models, histories, strict=True):
            write_cached(folder, name, model, history)
    first, model = models
    history = {**histories[0], **histories[1]}
    columns = {name: history.pop(name) for name in METRICS}
    return DemoModel(
        model,
        first,
        test,
        model.encode(test),
        {name: values for name, values in history.items() if name not in RECALLS},
        every,
        {row: {name: columns[name][place] for name in METRICS} for place, row in enumerate(WITHHELD)},
        {name: _scored([rule(study) for study in test], test) for name, rule in BASELINES.items()},
        {name: history[name][0] for name in RECALLS},
    )


def _train(
    studies: Sequence[Study],
    validation: Sequence[Study],
    every: int,
    tokenizer: ReportTokenizer,
    first: PretrainingRecipe,
    second: ReportRecipe,
    seed: int,
) -> tuple[MLRGPretraining, MLRG]:
    keras.utils.set_random_seed(seed)
    logger.info(
        "Training on %d studies that are drawn, not real: first an encoder of images, then images and facts, "
        "then reports.",
        len(studies),
    )
    bars = BarredRun(BARS)
    few = set(sorted({study.patient for study in studies})[:ENCODER_PATIENTS])
    seen = [study for study in studies if study.patient in few]
    encoder = fit_image_encoder(seen, ConvolutionTokens(seed=seed), seed=seed, fit=StageFit(bars))
    features = encode_images([*studies, *validation], encoder)
    stages = fit_stages(
        studies,
        tokenizer,
        encoder,
        Architecture.small(tokenizer.size, encoder.image_dim, seed=seed, **LENGTHS),
        features=features,
        first=first,
        second=second,
        seed=seed,
        callbacks=[ReportScores(validation, features, report_scores, ("ce_f1", "bleu_4"), every)],
        run=bars,
    )
    return stages.first, stages.model


def _measured(first: MLRGPretraining, model: MLRG, test: Sequence[Study]) -> list[dict[str, list[float]]]:
    """What the cache keeps of both stages: curves, and how good they are on held-out studies."""
    features = model.encode(test)
    recall = report_recall(first, test, features, model.tokenizer)
    pairs = curves_of(first, PAIR_CURVES) | {name: [recall[name]] for name in RECALLS}
    rows = []
    for parts in WITHHELD.values():
        known = [without(study, parts) for study in test]
        found = model.report(known, features=features, batch_size=64)
        rows.append(_scored([report.findings for report in found], test))
    return [pairs, curves_of(model, CURVES) | {name: [row[name] for row in rows] for name in METRICS}]


def _scored(reports: Sequence[str], studies: Sequence[Study]) -> dict[str, float]:
    """Progression is measured on those with a visit before."""
    scores = report_scores(
        reports,
        [study.findings for study in studies],
        with_prior=[study.prior is not None for study in studies],
    )
    return {name: scores[name] for name in METRICS}
