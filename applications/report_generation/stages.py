"""The stages of MLRG one after the other, with the weights handed on."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from applications.report_generation.architecture import Architecture
from applications.report_generation.batches import StudyBatches
from applications.report_generation.callbacks import ReportScores
from applications.report_generation.formats import check_reports
from applications.report_generation.image_encoders import ConvolutionTokens, ImageBatches
from applications.report_generation.image_features import ImageFeatures, encode_images, pixels
from applications.report_generation.mlrg import MLRG, transfer_first_stage
from applications.report_generation.recipes import PretrainingRecipe, ReportRecipe, plateau_callbacks
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.study import Study, check_patients
from applications.report_generation.text import ReportTokenizer, check_absence
from applications.runs import RunFolder, StageFit
from contrast.transfer import TransferReport


class Stages(NamedTuple):
    """What the stages gave; `first` and `report` are `None` if stage 1 was left out."""

    first: MLRGPretraining | None
    model: MLRG
    report: TransferReport | None


def fit_stages(
    studies: Sequence[Study],
    tokenizer: ReportTokenizer,
    image_encoder: keras.Model,
    architecture: Architecture | None = None,
    *,
    features: ImageFeatures | None = None,
    first: PretrainingRecipe | None = None,
    second: ReportRecipe | None = None,
    validation: Sequence[Study] = (),
    pretrain: bool = True,
    absence: str = "tokens",
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    run: RunFolder | None = None,
) -> Stages:
    """Both stages: images, views and facts find each other; then reports are written.

    Args:
        studies: with findings and facts.
        tokenizer: of the texts; the last model keeps it.
        image_encoder: frozen; the last model keeps it.
        architecture: `None`: `Architecture.small` for the vocabulary and the width of the image tokens.
        features: the tokens of all images, those of `validation` included; `None`: they are encoded now.
        first: recipe of stage 1; `None`: `PretrainingRecipe.small()`.
        second: recipe of stage 2; `None`: `ReportRecipe.small()`.
        validation: studies of other patients, on whose loss the recipes of the paper lower their rates. With
            a `ReportScores` among `callbacks`, stage 2 follows its `val_score` instead.
        pretrain: whether there is a stage 1.
        absence: what stands for a missing text in the prompt: `"tokens"`, or `"empty"`, nothing.
        seed: of the order and the anchors. Initial weights come from Keras's global seed.
        callbacks: of the last stage.
        verbose: of `fit`.
        run: a run folder, in which every stage can be resumed; `None`: nothing is written.

    Returns:
        The models of both stages.

    Raises:
        ValueError: if there is no study, one has no findings or no facts, a patient is in both splits, or
            stage 1 has fewer than two studies, or `absence` is unknown.
    """
    check_absence(absence)
    if not len(studies):
        raise ValueError("studies must be at least one, got none.")
    check_reports(studies)
    check_patients({"studies": studies, "validation": validation})
    if features is None:
        features = encode_images([*studies, *validation], image_encoder)
    if architecture is None:
        architecture = Architecture.small(tokenizer.size, features.tokens.shape[-1])
    options = {
        "features": features,
        "validation": validation,
        "seed": seed,
        "fit": StageFit(run, verbose),
    }
    pretrained = report = None
    if pretrain:
        pretrained = fit_pretraining(
            studies, tokenizer, first or PretrainingRecipe.small(), architecture=architecture, **options
        )
    model = new_model(MLRG(architecture, tokenizer, image_encoder, absence))
    if pretrained is not None:
        report = transfer_first_stage(pretrained, model)
    fit_reports(model, studies, second or ReportRecipe.small(), callbacks=callbacks, **options)
    return Stages(pretrained, model, report)


def fit_image_encoder(
    studies: Sequence[Study],
    encoder: ConvolutionTokens | None = None,
    epochs: int = 6,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
    fit: StageFit | None = None,
) -> ConvolutionTokens:
    """The small stand-in for a pretrained image encoder, trained on these studies' images without labels.

    Args:
        studies: of training patients only.
        encoder: `None`: a new `ConvolutionTokens`.
        epochs, batch_size, learning_rate, seed: of the training.
        fit: trains a compiled model.
    """
    encoder = encoder or ConvolutionTokens(seed=seed)
    views = {view.key: view for study in studies for view in study.images}
    images = np.stack([pixels(view, encoder.image_size) for view in views.values()])
    encoder.build((None, *encoder.image_size))
    encoder.compile(keras.optimizers.Adam(learning_rate))
    (fit or StageFit())(encoder, ImageBatches(images, batch_size, seed=seed), "images", epochs)
    encoder.adapt(images)
    encoder.trainable = False
    return encoder


def fit_pretraining(
    studies,
    tokenizer: ReportTokenizer,
    recipe: PretrainingRecipe,
    *,
    architecture: Architecture,
    features: ImageFeatures,
    validation=(),
    slots=None,
    seed=0,
    fit=None,
    **options,
) -> MLRGPretraining:
    """Stage 1; `slots` are those of `StudyBatches`, and `options` arguments of `MLRGPretraining`."""
    if len(studies) < 2:
        raise ValueError(f"studies must be at least two in stage 1, got {len(studies)}.")
    parts = (features, tokenizer, recipe, architecture)
    batches = batches_of(studies, *parts, slots=slots, seed=seed, drop_remainder=True)
    model = MLRGPretraining(architecture, recipe.temperature, name="stage_one", **options)
    new_model(model).compile(recipe.optimizer())
    held_out = _validation(validation, *parts, slots=slots)
    watch = plateau_callbacks(recipe, "val_loss", "min") if held_out else []
    (fit or StageFit())(model, batches, "pretraining", recipe.epochs, watch, **held_out)
    return model


def fit_reports(
    model: MLRG,
    studies,
    recipe: ReportRecipe,
    *,
    features: ImageFeatures,
    validation=(),
    slots=None,
    seed=0,
    callbacks=(),
    fit=None,
) -> MLRG:
    """Stage 2, from the weights that the model has; `slots` are those of `StudyBatches`."""
    sizes = model.architecture
    options = {"absence": model.absence, "slots": slots}
    batches = batches_of(studies, features, model.tokenizer, recipe, sizes, seed=seed, **options)
    model.compile(recipe.optimizer())
    held_out = _validation(validation, features, model.tokenizer, recipe, sizes, **options)
    watch = []
    if any(isinstance(callback, ReportScores) for callback in callbacks):
        watch = plateau_callbacks(recipe, "val_score", "max")
    elif held_out:
        watch = plateau_callbacks(recipe, "val_loss", "min")
    (fit or StageFit())(model, batches, "reports", recipe.epochs, [*callbacks, *watch], **held_out)
    return model


def batches_of(studies, features, tokenizer, recipe, architecture, **options) -> StudyBatches:
    """Batches as a recipe and an architecture want them."""
    options = {"anchors": recipe.anchors, **options}
    return StudyBatches(
        studies,
        features,
        tokenizer,
        batch_size=min(recipe.batch_size, len(studies)),
        max_facts=architecture.max_facts,
        max_prompt=architecture.max_prompt,
        max_length=architecture.max_length,
        **options,
    )


def new_model(model):
    """The model, built."""
    model.build(None)
    return model


def _validation(studies, features, tokenizer, recipe, architecture, **options):
    """Further arguments of `fit`."""
    if not studies:
        return {}
    options |= {"anchors": "first", "shuffle": False}
    return {"validation_data": batches_of(studies, features, tokenizer, recipe, architecture, **options)}
