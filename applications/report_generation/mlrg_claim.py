"""The claim of MLRG at laptop size: what was learned by contrast helps to write reports.

All arms write reports with the same network, the same studies and the same number of epochs, but for one
that is trained as long as both stages take. Settings were chosen on the validation patients; the number of
epochs is what fits into an hour. As in the paper, reports and references end at a number of tokens; here one
reference in twenty is longer.
"""

import dataclasses
import functools
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import keras
import numpy as np

from applications.claims import OBSERVATION, Arm, ArmResult, Check, Claim
from applications.report_generation.architecture import Architecture
from applications.report_generation.baselines import (
    all_normal_report,
    copy_prior_facts,
    copy_prior_text,
    with_prior_report,
)
from applications.report_generation.callbacks import ReportScores
from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.evaluation import report_scores
from applications.report_generation.image_encoders import ConvolutionTokens
from applications.report_generation.image_features import ImageFeatures, encode_images
from applications.report_generation.mlrg import MLRG, transfer_first_stage
from applications.report_generation.recipes import PretrainingRecipe, ReportRecipe
from applications.report_generation.retrieval import report_recall
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.stages import fit_image_encoder, fit_pretraining, fit_reports, new_model
from applications.report_generation.study import Study, without
from applications.report_generation.text import ReportTokenizer, study_texts
from applications.report_generation.training import small_architecture

SECOND, BOTH = "stage 2 only", "stages 1 and 2"
LONG = "stage 2 only, 12 epochs (about as long as both stages)"
NO_PRIOR, NO_VIEWS = "both, trained without prior image", "both, trained without further views"
NO_TEXT = "both, trained without indication and previous report"
EMPTY = "both, nothing in place of a missing text"
SOFT = "both, temperature 0.5"
TEXTS = ("indication", "prior_report")
SHARP_LOSS, SOFT_LOSS = "temperature 0.1", "temperature 0.5"
KEPT = {
    "clinical_f1": "ce_f1",
    "clinical_macro_f1": "ce_macro_f1",
    "bleu_4": "bleu_4",
    "rouge_l": "rouge_l",
    "progression_f1": "progression_f1",
    "entity_f1": "entity_f1",
}


class Setting(NamedTuple):
    """How many patients of each kind, how many epochs of each stage, and most tokens of texts.

    `max_length` is that of reports, `max_texts` that of facts and of prompts.
    """

    train: int = 1000
    validation: int = 50
    test: int = 200
    encoder_patients: int = 250
    encoder_epochs: int = 6
    first: int = 12
    second: int = 6
    long: int = 12
    every: int = 2
    candidates: int = 256
    max_length: int = 64
    max_texts: int = 48


FULL = Setting()
FAST = Setting(12, 4, 8, 12, 1, 2, 2, 3, 1, 16, 24, 24)


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


def claims() -> list[Claim]:
    """The experiment, and what stage 1 learns by itself."""
    arms = [
        Arm(SECOND, partial(_write, pretrain=False)),
        Arm(BOTH, _write),
        Arm(LONG, partial(_write, pretrain=False, budget="long")),
        Arm(NO_PRIOR, partial(_write, missing=("prior_image",))),
        Arm(NO_VIEWS, partial(_write, missing=("views",))),
        Arm(NO_TEXT, partial(_write, missing=TEXTS)),
        Arm(EMPTY, partial(_write, absence="empty")),
        Arm(SOFT, partial(_write, temperature=0.5)),
    ]
    return [
        Claim(
            task="report_generation",
            paper="mlrg",
            corpus="rendered radiographs",
            primary_metric="clinical_f1",
            arms=arms,
            checks=[
                Check(
                    "with stage 1 the clinical F1 is above that of stage 2 only, at equal epochs of stage 2",
                    lambda r: _mean(r, BOTH) > _mean(r, SECOND),
                ),
                Check(
                    "the same of BLEU-4",
                    lambda r: _mean(r, BOTH, "bleu_4") > _mean(r, SECOND, "bleu_4"),
                    OBSERVATION,
                ),
                Check(
                    "with stage 1 it is above a stage 2 that is trained as long as both by .02 or more",
                    lambda r: _mean(r, BOTH) >= _mean(r, LONG) + 0.02,
                    OBSERVATION,
                ),
                Check(
                    "it is above all baselines, the previous report included where the model lacks it",
                    lambda r: _mean(r, BOTH) > max(row["clinical_f1"] for row in r["baselines"].values()),
                    OBSERVATION,
                ),
                Check(
                    "trained without prior image, the progression F1 is lower",
                    lambda r: _mean(r, NO_PRIOR, "progression_f1") < _mean(r, BOTH, "progression_f1"),
                    OBSERVATION,
                ),
                Check(
                    "trained without further views, the clinical F1 is lower",
                    lambda r: _mean(r, NO_VIEWS) < _mean(r, BOTH),
                    OBSERVATION,
                ),
                Check(
                    "trained without indication and previous report, the clinical F1 is lower",
                    lambda r: _mean(r, NO_TEXT) < _mean(r, BOTH),
                    OBSERVATION,
                ),
                Check(
                    "where the texts are withheld, tokens of absence lose less than an empty text",
                    lambda r: _lost(r, BOTH) < _lost(r, EMPTY),
                    OBSERVATION,
                ),
                Check(
                    "temperature 0.1 was the better one on validation patients",
                    lambda r: _mean(r, BOTH, "validation_f1") > _mean(r, SOFT, "validation_f1"),
                    OBSERVATION,
                ),
            ],
            reference=SECOND,
            baselines=_baselines,
        ),
        Claim(
            task="report_generation",
            paper="mlrg",
            corpus="rendered radiographs, image to report",
            primary_metric="recall_at_1",
            arms=[
                Arm(SHARP_LOSS, partial(_retrieve, temperature=0.1)),
                Arm(SOFT_LOSS, partial(_retrieve, temperature=0.5)),
            ],
            checks=[
                Check(
                    "stage 1 finds the report of an unseen study more often than by chance",
                    lambda r: r["arms"][SHARP_LOSS]["recall_at_1"]["mean"] > 3 / FULL.candidates,
                    OBSERVATION,
                )
            ],
            reference=SOFT_LOSS,
            baselines=_chances,
        ),
    ]


def _write(*, seed, fast, pretrain=True, budget="second", missing=(), absence="tokens", temperature=0.1):
    setting, corpus = FAST if fast else FULL, _corpus(seed, fast)
    keras.utils.set_random_seed(seed)
    model = new_model(MLRG(corpus.architecture, corpus.tokenizer, absence=absence))
    seconds = 0.0
    if pretrain:
        # Stage 1 reads no prompt: whether texts are missing changes nothing in it.
        first = _first_stage(seed, fast, tuple(part for part in missing if part not in TEXTS), temperature)
        pretrained = new_model(MLRGPretraining(corpus.architecture))
        pretrained.set_weights(first.weights)
        transfer_first_stage(pretrained, model)
        seconds = first.seconds
    keras.utils.set_random_seed(seed)
    train, validation, test = (
        [without(study, missing) for study in part] for part in (corpus.train, corpus.validation, corpus.test)
    )
    watch = ReportScores(validation, corpus.features, report_scores, ("ce_f1", "bleu_4"), setting.every)
    recipe = ReportRecipe.small(getattr(setting, budget), batch_size=min(32, len(train) // 2))
    started = time.monotonic()
    fit_reports(model, train, recipe, features=corpus.features, seed=seed, callbacks=[watch])
    seconds += time.monotonic() - started

    scores = _scores(model, corpus, test)
    metrics = {name: scores[key] for name, key in KEPT.items()}
    metrics["beam_clinical_f1"] = _scores(model, corpus, test, beam_width=3)["ce_f1"]
    for name, parts, key in (
        ("f1_texts_withheld", TEXTS, "ce_f1"),
        ("f1_views_withheld", ("views",), "ce_f1"),
        ("progression_f1_prior_withheld", ("prior_image",), "progression_f1"),
    ):
        metrics[name] = _scores(model, corpus, [without(study, parts) for study in test])[key]
    metrics["validation_f1"] = watch.measured[-1]["val_ce_f1"]
    metrics["seconds"] = seconds
    curves = {
        "loss": model.history.history["loss"],
        **{
            f"{name}_every_{setting.every}_epochs": [row[name] for row in watch.measured]
            for name in ("val_ce_f1", "val_bleu_4")
        },
    }
    return ArmResult(metrics, curves)


def _retrieve(*, seed, fast, temperature):
    first = _first_stage(seed, fast, (), temperature)
    return ArmResult(first.recall, first.history)


@functools.lru_cache(maxsize=4)
def _corpus(seed, fast) -> Corpus:
    """The studies of a seed, and the tokens of their images."""
    setting, world = FAST if fast else FULL, RadiographWorld(seed)
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
def _first_stage(seed, fast, missing, temperature) -> FirstStage:
    """Stage 1 of a seed, as weights."""
    setting, corpus = FAST if fast else FULL, _corpus(seed, fast)
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


def _scores(model, corpus, studies, beam_width=1):
    found = model.report(studies, beam_width, features=corpus.features, batch_size=128)
    return _scored([report.findings for report in found], studies, corpus)


def _scored(reports, studies, corpus):
    return report_scores(
        reports,
        corpus.tokenizer.cut([study.findings for study in studies], corpus.architecture.max_length),
        with_prior=[study.truth.previous is not None for study in studies],
    )


def _baselines(*, seeds: Sequence[int], fast: bool):
    """Mean over the seeds of what needs no model."""
    rules = {
        "all normal": lambda study: all_normal_report(),
        "previous report": copy_prior_text,
        "previous report, also where it is blank": lambda study: copy_prior_text(with_prior_report(study)),
        'previous facts, "unchanged", also where blank': lambda study: copy_prior_facts(
            with_prior_report(study)
        ),
    }
    rows: dict[str, list[dict]] = {name: [] for name in rules}
    for seed in seeds:
        corpus = _corpus(seed, fast)
        for name, rule in rules.items():
            scores = _scored([rule(study) for study in corpus.test], corpus.test, corpus)
            rows[name].append({kept: scores[key] for kept, key in KEPT.items()})
    return {
        name: {metric: float(np.mean([one[metric] for one in row])) for metric in row[0]}
        for name, row in rows.items()
    }


def _chances(*, seeds: Sequence[int], fast: bool):
    count = (FAST if fast else FULL).candidates
    return {"chance": {f"recall_at_{k}": k / count for k in (1, 5)}}


def _mean(result, arm, metric="clinical_f1"):
    return result["arms"][arm][metric]["mean"]


def _lost(result, arm):
    return _mean(result, arm) - _mean(result, arm, "f1_texts_withheld")
