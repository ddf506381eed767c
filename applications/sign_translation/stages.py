"""The stages of GFSLT-VLP one after the other, with the weights handed on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np

from applications.runs import RunFolder, StageFit
from applications.sign_translation.architecture import Architecture
from applications.sign_translation.batches import check_clips, clip_batches
from applications.sign_translation.gfslt_vlp import GFSLTVLP, VARIANTS, transfer_first_stage
from applications.sign_translation.recipes import FrameRecipe, SLTRecipe, VLPRecipe
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.stage_zero import FrameAutoencoder, FrameBatches
from applications.sign_translation.text import END_ID, MASK_ID, PAD_ID, START_ID, SentenceTokenizer
from contrast.data.sentence_noise import WordMasking
from contrast.transfer import TransferReport, copy_weights

FRAME_ENCODER = "visual_encoder/frame_encoder"


class Stages(NamedTuple):
    """What the stages gave; `None` for a stage that was left out. `report` tells which weights moved."""

    frames: FrameAutoencoder | None
    first: VLP | None
    model: GFSLTVLP
    report: TransferReport | None


def fit_stages(
    clips: Sequence[np.ndarray],
    sentences: Sequence[str],
    tokenizer: SentenceTokenizer,
    architecture: Architecture | None = None,
    *,
    variant: str | None = "v2",
    frames: FrameRecipe | None = None,
    first: VLPRecipe | None = None,
    second: SLTRecipe | None = None,
    more_clips: Sequence[np.ndarray] = (),
    augmentation: Callable | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    run: RunFolder | None = None,
) -> Stages:
    """All stages: single frames without labels, clips with sentences, translation.

    Stage 0 is left out where frames are vectors or `frames` is `None`, as for a pretrained frame encoder.

    Args:
        clips: arrays `(frames, ...)`, bytes or floats in [0, 1].
        sentences: what they say.
        tokenizer: of the sentences; the last model keeps it.
        architecture: `None`: `Architecture.small` for the frames and the vocabulary.
        variant: `"v1"`, only the visual encoder moves to the last stage; `"v2"`, the decoder as well; `None`:
            no stage 1.
        frames: recipe of stage 0.
        first: recipe of stage 1; `None`: `VLPRecipe.small()`.
        second: recipe of stage 2; `None`: `SLTRecipe.small()`.
        more_clips: clips without sentences, whose frames are used in stage 0 too.
        augmentation: of clips, in stages 1 and 2.
        seed: of the order and the noise. Initial weights come from Keras's global seed.
        callbacks: of the last stage.
        verbose: of `fit`.
        run: a run folder, in which every stage can be resumed; `None`: nothing is written.

    Returns:
        The models of all stages.

    Raises:
        ValueError: if clips are missing, empty or of several sizes, there is not one sentence a clip, the
            sentences do not fit the architecture, stage 1 has fewer than two different sentences, or the
            variant is unknown.
    """
    if variant not in (None, *VARIANTS):
        raise ValueError(f"variant must be 'v1', 'v2' or None, got {variant!r}.")
    check_clips(clips)
    if len(sentences) != len(clips):
        raise ValueError(f"sentences must be one a clip, {len(clips)}, got {len(sentences)}.")
    tokens, words = tokenizer.encode(sentences, with_words=True)
    shape = tuple(np.shape(clips[0])[1:])
    if architecture is None:
        architecture = Architecture.small(
            tokenizer.size, shape, max_frames=min(300, max(map(len, clips))), max_length=tokens.shape[1]
        )
    check_tokens(tokens, architecture)
    first = first or VLPRecipe.small()
    if variant is not None:
        count_distinct(tokens, first)
    fit = StageFit(run, verbose)
    options = {"architecture": architecture, "augmentation": augmentation, "seed": seed, "fit": fit}
    autoencoder = pretrained = report = None
    if frames is not None and len(shape) == 3:
        autoencoder = fit_frames([*clips, *more_clips], frames, architecture=architecture, seed=seed, fit=fit)
    if variant is not None:
        pretrained = fit_pairs(
            clips,
            tokens,
            first,
            language_id=tokenizer.language_id,
            words=words,
            restoration=variant == "v2",
            autoencoder=autoencoder,
            **options,
        )
    model = new_model(GFSLTVLP(architecture, tokenizer), tokens)
    if pretrained is not None:
        report = transfer_first_stage(pretrained, model, variant)
    elif autoencoder is not None:
        report = copy_weights(autoencoder, model, {FRAME_ENCODER: "frame_encoder"})
    fit_translation(model, clips, tokens, second or SLTRecipe.small(), callbacks=callbacks, **options)
    return Stages(autoencoder, pretrained, model, report)


def fit_frames(clips, recipe: FrameRecipe, *, architecture, seed=0, fit=None) -> FrameAutoencoder:
    """Stage 0, on all frames of these clips."""
    batches = FrameBatches(clips, recipe.batch_size, seed=seed)
    model = FrameAutoencoder(
        architecture.build_frame_encoder(), architecture.frame_shape, batches.mean_frame, name="stage_zero"
    )
    model.build((None, *architecture.frame_shape))
    model.compile(recipe.optimizer(recipe.epochs * len(batches)))
    (fit or StageFit())(model, batches, "frames", recipe.epochs)
    return model


def fit_pairs(
    clips,
    tokens,
    recipe: VLPRecipe,
    *,
    architecture,
    language_id,
    words=None,
    restoration=True,
    autoencoder=None,
    augmentation=None,
    seed=0,
    fit=None,
    **options,
) -> VLP:
    """Stage 1 on clips and the ids of their sentences.

    Args:
        clips, tokens: as for `clip_batches`.
        recipe: how it is trained.
        architecture: of the model.
        language_id: what sentences end with.
        words: as for `clip_batches`.
        restoration: whether a decoder learns beside the encoders.
        autoencoder: what stage 0 gave, or `None`.
        augmentation, seed: as for `fit_stages`.
        fit: trains a compiled model.
        **options: arguments of `VLP`.
    """
    check_tokens(tokens, architecture)
    distinct = count_distinct(tokens, recipe)
    noise = WordMasking(
        recipe.mask_rate,
        shuffle_rate=recipe.shuffle_rate,
        mask_id=MASK_ID,
        pad_id=PAD_ID,
        kept_ids=(START_ID, END_ID, language_id),
    )
    batches = clip_batches(
        clips,
        tokens,
        words,
        batch_size=min(recipe.batch_size, distinct) if recipe.distinct_sentences else recipe.batch_size,
        augmentation=augmentation,
        noise=noise,
        distinct_sentences=recipe.distinct_sentences,
        max_frames=architecture.max_frames,
        buckets=1,  # clips of like length only, the same in each epoch, would be all that a clip is told from
        seed=seed,
        drop_remainder=True,
    )
    model = new_model(VLP(architecture, restoration=restoration, name="stage_one", **options), tokens)
    if autoencoder is not None:
        copy_weights(autoencoder, model, {FRAME_ENCODER: "frame_encoder"})
    model.compile(recipe.optimizer(recipe.epochs * len(batches), restoration))
    (fit or StageFit())(model, batches, "pairs", recipe.epochs)
    return model


def fit_translation(
    model: GFSLTVLP,
    clips,
    tokens,
    recipe: SLTRecipe,
    *,
    architecture,
    augmentation=None,
    seed=0,
    callbacks=(),
    fit=None,
) -> GFSLTVLP:
    """Stage 2, from the weights that the model has."""
    check_tokens(tokens, architecture)
    model.check_frames(clips)
    batches = clip_batches(
        clips,
        tokens,
        batch_size=recipe.batch_size,
        augmentation=augmentation,
        max_frames=architecture.max_frames,
        buckets=1,
        seed=seed,
    )
    model.compile(recipe.optimizer(recipe.epochs * len(batches)))
    (fit or StageFit())(model, batches, "translation", recipe.epochs, callbacks)
    return model


def new_model(model, tokens):
    """The model, built for sentences as long as these."""
    shape = (None, None, *model.architecture.frame_shape)
    model.build({"frames": shape, "tokens": (None, np.shape(tokens)[1])})
    return model


def count_distinct(tokens, recipe: VLPRecipe) -> int:
    """How many different sentences there are; a ValueError unless stage 1 can tell some apart."""
    distinct = len(np.unique(tokens, axis=0))
    if distinct < 2:
        raise ValueError(
            f"sentences must be at least two different ones for clips to be told apart; all {len(tokens)} "
            "are equal."
        )
    if recipe.batch_size < 2:
        raise ValueError(f"batch_size must be at least 2 in stage 1, got {recipe.batch_size}.")
    return distinct


def check_tokens(tokens, architecture: Architecture) -> None:
    """Raises a ValueError unless the sentences fit the architecture and none is empty."""
    if np.shape(tokens)[1] > architecture.max_length:
        raise ValueError(
            f"sentences must have at most max_length={architecture.max_length} tokens, got "
            f"{np.shape(tokens)[1]}."
        )
    if np.max(tokens) >= architecture.vocabulary_size or np.min(tokens) < 0:
        raise ValueError(
            f"ids of tokens must be from 0 to {architecture.vocabulary_size - 1}, got {np.min(tokens)} to "
            f"{np.max(tokens)}."
        )
    empty = np.flatnonzero((np.asarray(tokens) != PAD_ID).sum(axis=1) <= 2)
    if len(empty):
        raise ValueError(f"sentences must have words; sentence {empty[0]} has none.")
