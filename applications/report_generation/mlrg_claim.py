"""The claim of MLRG at laptop size: what was learned by contrast helps to write reports.

All arms write reports with the same network, the same studies and the same number of epochs, but for one
that is trained as long as both stages take. Settings were chosen on the validation patients, but for the
number of epochs, which keeps the experiment short. As in the paper, reports and references end at a number of
tokens; here three references in a hundred are longer.
"""

import time
from collections.abc import Sequence
from functools import partial

import keras
import numpy as np

from applications.claims import OBSERVATION, Arm, ArmResult, Check, Claim
from applications.report_generation.baselines import (
    all_normal_report,
    copy_prior_facts,
    copy_prior_text,
    with_prior_report,
)
from applications.report_generation.callbacks import ReportScores
from applications.report_generation.claim_parts import seed_corpus, seed_first_stage, setting_of
from applications.report_generation.evaluation import report_scores
from applications.report_generation.mlrg import MLRG, transfer_first_stage
from applications.report_generation.recipes import ReportRecipe
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.stages import fit_reports, new_model
from applications.report_generation.study import without

SECOND, BOTH = "stage 2 only", "stages 1 and 2"
LONG = "stage 2 only, 13 epochs (about as long as both stages)"
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
                    lambda r: r["arms"][SHARP_LOSS]["recall_at_1"]["mean"] > 3 / setting_of(False).candidates,
                    OBSERVATION,
                )
            ],
            reference=SOFT_LOSS,
            baselines=_chances,
        ),
    ]


def _write(*, seed, fast, pretrain=True, budget="second", missing=(), absence="tokens", temperature=0.1):
    setting, corpus = setting_of(fast), seed_corpus(seed, fast)
    keras.utils.set_random_seed(seed)
    model = new_model(MLRG(corpus.architecture, corpus.tokenizer, absence=absence))
    seconds = 0.0
    if pretrain:
        # Stage 1 reads no prompt: whether texts are missing changes nothing in it.
        lacking = tuple(part for part in missing if part not in TEXTS)
        first = seed_first_stage(seed, fast, lacking, temperature)
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
    options = {"features": corpus.features, "slots": setting.slots, "callbacks": [watch]}
    fit_reports(model, train, recipe, **options, seed=seed)
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
    first = seed_first_stage(seed, fast, (), temperature)
    return ArmResult(first.recall, first.history)


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
        corpus = seed_corpus(seed, fast)
        for name, rule in rules.items():
            scores = _scored([rule(study) for study in corpus.test], corpus.test, corpus)
            rows[name].append({kept: scores[key] for kept, key in KEPT.items()})
    return {
        name: {metric: float(np.mean([one[metric] for one in row])) for metric in row[0]}
        for name, row in rows.items()
    }


def _chances(*, seeds: Sequence[int], fast: bool):
    count = setting_of(fast).candidates
    return {"chance": {f"recall_at_{k}": k / count for k in (1, 5)}}


def _mean(result, arm, metric="clinical_f1"):
    return result["arms"][arm][metric]["mean"]


def _lost(result, arm):
    return _mean(result, arm) - _mean(result, arm, "f1_texts_withheld")
