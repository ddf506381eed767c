"""Training from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from applications.report_generation.annotation import load_annotation
from applications.report_generation.architecture import Architecture
from applications.report_generation.callbacks import ReportScores
from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.evaluation import report_scores
from applications.report_generation.formats import check_reports
from applications.report_generation.image_encoders import ConvolutionTokens
from applications.report_generation.image_features import encode_images
from applications.report_generation.mimic_folders import load_mimic_folders
from applications.report_generation.mlrg import MLRG
from applications.report_generation.recipes import PretrainingRecipe, ReportRecipe
from applications.report_generation.stages import fit_image_encoder, fit_stages
from applications.report_generation.study import Study
from applications.report_generation.table import load_table
from applications.report_generation.text import ReportTokenizer, study_texts
from applications.runs import StageFit

ANNOTATION, TABLES, IMAGES = "annotation.json", ("studies.csv", "studies.json"), "images"
RENDERED, REAL = (64, 64), (128, 128)
HELD_OUT = 0.1


class TrainingStudies(NamedTuple):
    """Studies to train on, those of other patients, maybe none, and the size of the images."""

    train: Sequence[Study]
    held_out: Sequence[Study]
    image_size: tuple[int, int]


def training_studies(data: Path | None, seed: int = 0) -> TrainingStudies:
    """The studies of a folder, or rendered ones.

    Args:
        data: a folder with `annotation.json` and `images/`, see `load_annotation`; with `studies.csv` or
            `studies.json`, see `load_table`; or with folders `p.../s...`, see `load_mimic_folders`; `None`:
            300 rendered patients.
        seed: moves the rendered patients, and which tenth of patients is held out where there is no split.

    Raises:
        ValueError: if the folder holds none of these, or a study to train on has no report or no facts.
    """
    if data is None:
        world = RadiographWorld(seed)
        return TrainingStudies(world.studies(300), world.studies(30, "validation"), RENDERED)
    data = Path(data)
    table = next((data / name for name in TABLES if (data / name).is_file()), None)
    if (data / ANNOTATION).is_file():
        parts = load_annotation(data / ANNOTATION, data / IMAGES)
    elif table is not None:
        parts = load_table(table)
    else:
        parts = load_mimic_folders(data)
    # A visit without a report serves as the one before another visit, but nothing can be learned from it.
    parts = {name: [study for study in studies if study.findings] for name, studies in parts.items()}
    train = parts.get("train") or parts.get("all") or []
    if not train:
        raise ValueError(f"{data} holds no study with a report to train on.")
    check_reports(train)
    held_out = next((parts[name] for name in ("validation", "val", "dev") if name in parts), None)
    if held_out is None:
        train, held_out = _split(train, seed)
    return TrainingStudies(train, held_out, REAL)


def train(run, *, data: Path | None = None, seed: int = 0, epochs: int | None = None) -> MLRG:
    """Trains a small image encoder and both stages of a small MLRG for the command line.

    Args:
        run: the `applications.runs.RunFolder`, which keeps what this returns and goes on after an
            interruption, in whichever stage it came.
        data: a folder for `training_studies`; `None`: rendered radiographs.
        seed: moves studies, their order, the anchors and the initial weights.
        epochs: of the last stage, `None`: 8; stage 1 has 1.875 times as many.

    Returns:
        The model of the last stage; its `history` holds the loss and, with held-out patients, the scores of
        their reports.
    """
    epochs = epochs or 8
    studies, held_out, size = training_studies(data, seed)
    tokenizer = ReportTokenizer.fit(study_texts(studies))
    fit = StageFit(run, verbose=2)
    encoder = fit_image_encoder(studies, ConvolutionTokens(size, seed=seed), seed=seed, fit=fit)
    features = encode_images([*studies, *held_out], encoder)
    watch = []
    if held_out:
        every = max(1, epochs // 4)
        watch = [ReportScores(held_out, features, report_scores, ("ce_f1", "bleu_4"), every)]
    return fit_stages(
        studies,
        tokenizer,
        encoder,
        small_architecture(studies, tokenizer, seed, image_dim=encoder.image_dim),
        features=features,
        first=PretrainingRecipe.small(max(1, round(1.875 * epochs)), batch_size=_batch(studies)),
        second=ReportRecipe.small(epochs, batch_size=_batch(studies)),
        seed=seed,
        callbacks=watch,
        run=run,
        verbose=2,
    ).model


def small_architecture(
    studies: Sequence[Study], tokenizer: ReportTokenizer, seed: int, **options
) -> Architecture:
    """The small model, with room for the longest texts of these studies and a few words more."""
    findings = tokenizer.encode_findings([study.findings for study in studies], max_length=None)
    facts = tokenizer.encode_facts([study.facts for study in studies], max_length=None)
    prompts, _ = tokenizer.encode_prompts(
        [study.indication for study in studies],
        [study.prior.facts if study.prior is not None else () for study in studies],
        max_length=None,
    )
    full = Architecture(tokenizer.size)
    return Architecture.small(
        tokenizer.size,
        max_length=min(full.max_length, findings.shape[1] + 4),
        max_facts=min(full.max_facts, facts.shape[1] + 4),
        max_prompt=min(full.max_prompt, prompts.shape[1] + 4),
        seed=seed,
        **options,
    )


def _batch(studies):
    return min(32, max(2, len(studies) // 2))


def _split(studies, seed):
    patients = np.unique([study.patient for study in studies])
    count = int(HELD_OUT * len(patients))
    away = set(np.random.default_rng((seed, 1)).permutation(patients)[:count].tolist())
    return tuple([s for s in studies if (s.patient in away) == held] for held in (False, True))
