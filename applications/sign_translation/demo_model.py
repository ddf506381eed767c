"""The models of the demo: trained once on rendered signing, then read from a cache."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import trange

from applications.demo_cache import (
    BarredRun,
    cache_folder,
    cache_name,
    curves_of,
    read_cached,
    write_cached,
)
from applications.sign_translation.architecture import Architecture
from applications.sign_translation.augmentation import ClipAugmentation
from applications.sign_translation.callbacks import DevBleu
from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.evaluation import (
    sacrebleu_scores,
    template_oracle,
    translation_scores,
    video_to_text_recall,
)
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.gfslt_vlp import GFSLTVLP
from applications.sign_translation.recipes import FrameRecipe, SLTRecipe, VLPRecipe
from applications.sign_translation.retrieval import clip_vectors, sentence_vectors
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.stages import fit_stages, new_model
from applications.sign_translation.text import SentenceTokenizer

__all__ = ["DemoModel", "load_or_train"]

MOST_FRAMES, MOST_TOKENS = 80, 32  # of rendered clips and of their sentences, with some room
PAIR_CURVES = ("contrast_loss", "restoration_loss")
CURVES = ("loss", "val_bleu_4")
BARS = {
    "frames": "stage 0, single frames: loss {loss:.4f}",
    "pairs": "stage 1, clips and sentences: loss {contrast_loss:.2f}",
    "translation": "stage 2, translation: loss {loss:.2f}, BLEU-4 {val_bleu_4:.0f}",
}
SCORES = ("bleu_4", "shuffled_bleu_4", "rouge_l", "one_wording_bleu_4", "recall_at_1", "recall_at_5")

logger = logging.getLogger("contrast")


@dataclass(frozen=True, eq=False)
class DemoModel:
    """Trained models and what they can be shown on.

    Args:
        world: draws the clips.
        model: translates.
        first: stage 1, which compares clips with sentences.
        trained_on: meanings of the clips with sentences that the models have seen.
        held_out: clips that no stage has seen.
        new_pairs: such clips whose region and phenomenon never came together in training.
        history: `loss` and `val_bleu_4` of each epoch of stage 2, `contrast_loss` and `restoration_loss` of
            stage 1.
        every: epochs between two values of `val_bleu_4`.
        scores: on `held_out`: `bleu_4` and `rouge_l`; `shuffled_bleu_4`, against other clips' sentences;
            `one_wording_bleu_4`, of who knows the meaning but not the wording; `recall_at_1` and
            `recall_at_5` of stage 1.
    """

    world: SigningWorld
    model: GFSLTVLP
    first: VLP
    trained_on: frozenset
    held_out: list[SignedClip]
    new_pairs: list[SignedClip]
    history: dict[str, list[float]]
    every: int
    scores: dict[str, float]


def load_or_train(
    pairs: int = 600,
    unlabelled: int = 600,
    held_out: int = 150,
    pair_epochs: int = 16,
    epochs: int = 16,
    seed: int = 0,
    folder: Path | None = None,
    world: SigningWorld | None = None,
) -> DemoModel:
    """The models of the demo, from the cache if they were trained before, on whichever backend.

    A file of the cache that is missing, cut off or damaged means training again; a cache that cannot be
    written costs a warning.

    Args:
        pairs: clips with sentences to train on.
        unlabelled: further clips, of which stage 0 sees single frames.
        held_out: clips to evaluate on, at least 5.
        pair_epochs: passes over the pairs in stage 1.
        epochs: passes over them in stage 2.
        seed: fixes the clips, their order and the first weights; sets all global generators.
        folder: of the cache; `cache_folder()` if not given.
        world: draws the clips; `None`: the `SigningWorld` of this seed.

    Raises:
        MissingPackageError: if `tokenizers` or sacrebleu is not installed.
    """
    folder = cache_folder() if folder is None else folder
    world = world or SigningWorld(seed)
    clips, kept_back = world.clips(pairs), world.clips(held_out, "test")
    frames = FrameRecipe()
    first = VLPRecipe.small(pair_epochs, batch_size=min(32, pairs // 2))
    second = SLTRecipe.small(epochs)
    recipe = {"pairs": pairs, "unlabelled": unlabelled, "held_out": held_out, "seed": seed}
    recipe |= {"frames": asdict(frames), "first": asdict(first), "second": asdict(second)}
    names = [cache_name(f"sign_translation_{part}", **recipe) for part in ("pairs", "sentences")]
    sentences = [clip.sentence for clip in clips]
    tokenizer = SentenceTokenizer.fit(sentences)
    architecture = Architecture.small(
        tokenizer.size,
        clips[0].frames.shape[1:],
        max_frames=MOST_FRAMES,
        max_length=MOST_TOKENS,
        seed=seed,
    )
    every = max(1, epochs // 8)

    def shown(model, pretrained, history):
        scores = {name: history.pop(name)[0] for name in SCORES}
        meanings = frozenset(clip.record for clip in clips)
        new_pairs = world.clips(min(held_out, 20), "held_out")
        return DemoModel(world, model, pretrained, meanings, kept_back, new_pairs, history, every, scores)

    tokens = tokenizer.encode(sentences)
    models = (
        new_model(VLP(architecture, name="stage_one"), tokens),
        new_model(GFSLTVLP(architecture, tokenizer), tokens),
    )
    histories = [
        read_cached(folder, name, model, curves)
        for name, model, curves in zip(names, models, (PAIR_CURVES, CURVES + SCORES), strict=True)
    ]
    if None not in histories:
        return shown(models[1], models[0], {**histories[0], **histories[1]})
    more = _rendered(world, pairs, unlabelled)
    keras.utils.set_random_seed(seed)
    logger.info(
        "Training on %d clips with their sentences, after a look at frames of %d clips without; nobody says "
        "which sign means what.",
        pairs,
        unlabelled,
    )
    dev = world.clips(max(2, min(100, held_out)), "dev")
    watch = DevBleu([clip.frames for clip in dev], [clip.references for clip in dev], every)
    stages = fit_stages(
        [clip.frames for clip in clips],
        sentences,
        tokenizer,
        architecture,
        frames=frames,
        first=first,
        second=second,
        more_clips=more,
        augmentation=ClipAugmentation.small(),
        seed=seed,
        callbacks=[watch],
        run=BarredRun(BARS),
    )
    scores = _scores(stages.model, stages.first, kept_back, seed)
    histories = [curves_of(stages.first, PAIR_CURVES), curves_of(stages.model, CURVES)]
    histories[1] |= {name: [scores[name]] for name in SCORES}
    for name, model, history in zip(names, (stages.first, stages.model), histories, strict=True):
        write_cached(folder, name, model, history)
    return shown(stages.model, stages.first, {**histories[0], **histories[1]})


def _rendered(world: SigningWorld, pairs: int, unlabelled: int) -> list[np.ndarray]:
    """The frames of the clips behind the pairs, with a bar, since they may have to be drawn first."""
    clips: list[SignedClip] = []
    step = 100
    for done in trange(0, unlabelled, step, desc="Clips without sentences", unit_scale=step, unit="clip"):
        clips = world.clips(pairs + min(done + step, unlabelled))
    return [clip.frames for clip in clips[pairs:]]


def _scores(model: GFSLTVLP, first: VLP, clips: Sequence[SignedClip], seed: int) -> dict[str, float]:
    found = model.translate(clips, batch_size=50)
    references = [clip.references for clip in clips]
    sentences = [clip.sentence for clip in clips]
    vectors = clip_vectors(first, clips), sentence_vectors(first, model.tokenizer, sentences)
    return {
        **translation_scores([one.sentence for one in found], references, seed),
        **video_to_text_recall(*vectors, sentences),
        "one_wording_bleu_4": sacrebleu_scores(*template_oracle(references, seed))["bleu_4"],
    }
