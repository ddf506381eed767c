"""The trainings of the claim of GFSLT-VLP, and what each is measured by.

Stages 0 and 1 of a seed are trained once and shared: as no gradient of the restoration goes into the
encoders, those of VLP-v1 and v2 are the same.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np

from applications.claims import ArmResult
from applications.sign_translation.architecture import Architecture
from applications.sign_translation.augmentation import ClipAugmentation
from applications.sign_translation.batches import clip_batches
from applications.sign_translation.callbacks import DevBleu
from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.evaluation import (
    random_sentences,
    template_oracle,
    translation_scores,
    video_to_text_recall,
)
from applications.sign_translation.gfslt_vlp import GFSLTVLP, transfer_first_stage
from applications.sign_translation.recipes import FrameRecipe, SLTRecipe, VLPRecipe
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.stages import (
    FRAME_ENCODER,
    fit_frames,
    fit_pairs,
    fit_translation,
    new_model,
)
from applications.sign_translation.text import SentenceTokenizer
from contrast.features import predict_rows
from contrast.transfer import copy_weights

BEFORE, AFTER = "after stage 0", "after stage 1"


@dataclass(frozen=True)
class Setting:
    """How many clips of each kind, and how many epochs of each stage."""

    pairs: int = 200
    unlabelled: int = 1000
    dev: int = 100
    test: int = 150
    pair_epochs: int = 48
    frozen_pair_epochs: int = 60
    epochs: int = 30
    long_epochs: int = 60
    equal_epochs: int = 78
    frozen_epochs: int = 40
    every: int = 5


FULL = Setting()
FAST = Setting(24, 0, 16, 16, 2, 2, 2, 3, 3, 2, 1)


class Part(NamedTuple):
    """Clips of a split as the model reads them, their sentences and all that would be right."""

    clips: list[np.ndarray]
    sentences: list[str]
    references: list[tuple[str, ...]]


class Corpus(NamedTuple):
    """What the arms of a seed share; `unlabelled` are all training clips, also those with sentences."""

    train: Part
    dev: Part
    test: Part
    held_out: Part
    unlabelled: list[np.ndarray]
    tokenizer: SentenceTokenizer
    architecture: Architecture


class FirstStages(NamedTuple):
    """Weights of stages 0 and 1, and how well the encoders find sentences before and after stage 1."""

    frames: list[np.ndarray] | None
    pairs: list[np.ndarray]
    recall: dict[str, dict[str, float]]
    history: dict[str, list[float]]


def translate(*, seed, fast, variant, frozen=False, budget="epochs"):
    setting, corpus = _setting(fast), corpus_of(seed, fast, frozen)
    keras.utils.set_random_seed(seed)
    tokens = corpus.tokenizer.encode(corpus.train.sentences)
    model = new_model(GFSLTVLP(corpus.architecture, corpus.tokenizer), tokens)
    start = first_stages(seed, fast, frozen)
    if variant is not None:
        transfer_first_stage(_stage_one(corpus, start.pairs), model, variant)
    elif start.frames is not None:
        encoder = corpus.architecture.build_frame_encoder()
        encoder.set_weights(start.frames)
        copy_weights(encoder, model, {FRAME_ENCODER: ""})
    keras.utils.set_random_seed(seed)
    watch = DevBleu(corpus.dev.clips, corpus.dev.references, setting.every)
    fit_translation(
        model,
        corpus.train.clips,
        tokens,
        SLTRecipe.small(getattr(setting, budget)),
        architecture=corpus.architecture,
        augmentation=_augmentation(corpus),
        seed=seed,
        callbacks=[watch],
    )
    scores = _scores(model, corpus.test, seed)
    metrics = {name: scores[name] for name in ("bleu_4", "shuffled_bleu_4", "rouge_l")}
    metrics["beam_bleu_4"] = _scores(model, corpus.test, seed, beam_width=4)["bleu_4"]
    metrics["held_out_bleu_4"] = _scores(model, corpus.held_out, seed)["bleu_4"]
    return ArmResult(
        metrics,
        {"loss": model.history.history["loss"], f"dev_bleu_4_every_{setting.every}_epochs": watch.scores},
    )


def retrieve(*, seed, fast, when):
    stages = first_stages(seed, fast, False)
    curves = stages.history if when == AFTER else {}
    return ArmResult(stages.recall[when], curves)


def _setting(fast):
    return FAST if fast else FULL


@functools.lru_cache(maxsize=2)
def corpus_of(seed, fast, frozen) -> Corpus:
    """The clips of a seed; with a frozen frame encoder its features, from stage 0."""
    setting, world = _setting(fast), SigningWorld(seed)
    if frozen and not fast:
        return _with_features(corpus_of(seed, fast, False), first_stages(seed, fast, False).frames)

    def part(split, count):
        clips = world.clips(count, split)
        frames = [_joints(clip) if fast else clip.frames for clip in clips]
        return Part(frames, [clip.sentence for clip in clips], [clip.references for clip in clips])

    everything = part("train", setting.pairs + setting.unlabelled)
    train = Part(*(values[: setting.pairs] for values in everything))
    others = [part("dev", setting.dev), part("test", setting.test), part("held_out", setting.test)]
    tokenizer = SentenceTokenizer.fit(train.sentences)
    longest = max(len(clip) for one in (everything, *others) for clip in one.clips)
    architecture = Architecture.small(
        tokenizer.size,
        train.clips[0].shape[1:],
        max_frames=longest,
        max_length=tokenizer.encode(train.sentences).shape[1] + 4,
        seed=seed,
        **({"dim": 16, "depth": 1, "text_depth": 1} if fast else {}),
    )
    return Corpus(train, *others, everything.clips, tokenizer, architecture)


def _joints(clip):
    return clip.joints.reshape(len(clip.frames), -1).astype("float32")


def _with_features(corpus, weights):
    encoder = corpus.architecture.build_frame_encoder()
    encoder.set_weights(weights)

    def features(part):
        flat = np.concatenate(part.clips).astype("float32") / 255
        ends = np.cumsum([len(clip) for clip in part.clips])[:-1]
        return part._replace(clips=np.split(encoder.predict(flat, batch_size=512, verbose=0), ends))

    parts = {name: features(getattr(corpus, name)) for name in ("train", "dev", "test", "held_out")}
    sizes = {**corpus.architecture.to_dict(), "frame_encoder": "identity"}
    sizes["frame_shape"] = parts["train"].clips[0].shape[1:]
    return corpus._replace(**parts, unlabelled=[], architecture=Architecture(**sizes))


@functools.lru_cache(maxsize=32)
def first_stages(seed, fast, frozen) -> FirstStages:
    """Stages 0 and 1 of a seed, as weights."""
    setting, corpus = _setting(fast), corpus_of(seed, fast, frozen)
    keras.utils.set_random_seed(seed)
    autoencoder = None
    if corpus.architecture.frame_encoder == "convolutions":
        autoencoder = fit_frames(
            corpus.unlabelled, FrameRecipe(), architecture=corpus.architecture, seed=seed
        )
    epochs = setting.frozen_pair_epochs if frozen else setting.pair_epochs
    tokens = corpus.tokenizer.encode(corpus.train.sentences)
    before = new_model(VLP(corpus.architecture), tokens)
    if autoencoder is not None:
        copy_weights(autoencoder, before, {FRAME_ENCODER: "frame_encoder"})
    keras.utils.set_random_seed(seed)
    pretrained = fit_pairs(
        corpus.train.clips,
        tokens,
        VLPRecipe.small(epochs, batch_size=min(32, setting.pairs // 2)),
        architecture=corpus.architecture,
        language_id=corpus.tokenizer.language_id,
        autoencoder=autoencoder,
        augmentation=_augmentation(corpus),
        seed=seed,
    )
    history = pretrained.history.history
    return FirstStages(
        None if autoencoder is None else autoencoder.frame_encoder.get_weights(),
        pretrained.get_weights(),
        {BEFORE: recall(before, corpus), AFTER: recall(pretrained, corpus)},
        {name: list(history[name]) for name in ("contrast_loss", "restoration_loss")},
    )


def recall(model: VLP, corpus: Corpus) -> dict[str, float]:
    """R@1 and R@5 from test clips to their sentences."""
    test = corpus.test
    batches = clip_batches(
        test.clips,
        corpus.tokenizer.encode(test.sentences, corpus.architecture.max_length),
        batch_size=len(test.clips),
        max_frames=corpus.architecture.max_frames,
        buckets=1,
        shuffle=False,
    )
    batch = batches[0]
    found = predict_rows(model, {name: batch[name] for name in batch if name != "rows"})
    texts = [test.sentences[row] for row in batch["rows"]]
    return video_to_text_recall(found["clips"], found["sentences"], texts)


def _stage_one(corpus, weights):
    model = new_model(VLP(corpus.architecture), corpus.tokenizer.encode(corpus.train.sentences))
    model.set_weights(weights)
    return model


def _augmentation(corpus):
    return ClipAugmentation.small() if corpus.architecture.frame_encoder == "convolutions" else None


def _scores(model, part, seed, beam_width=1):
    found = model.translate(part.clips, beam_width, batch_size=50)
    return translation_scores([one.sentence for one in found], part.references, seed)


def baselines(*, seeds: Sequence[int], fast: bool):
    """Mean over the seeds of what needs no model: another clip's sentence, and knowing the meaning."""
    setting = _setting(fast)
    rows: dict[str, list[dict]] = {"sentence of another clip": [], "meaning known, one reference": []}
    for seed in seeds:
        world = SigningWorld(seed)
        answers = {}
        for split, prefix in (("test", ""), ("held_out", "held_out_")):
            references = [clip.references for clip in world.clips(setting.test, split)]
            for name, pair in zip(
                rows,
                ((random_sentences(references, seed), references), template_oracle(references, seed)),
                strict=True,
            ):
                scores = translation_scores(*pair, seed + 1)  # another shuffling than the baseline's
                kept = ("bleu_4", "shuffled_bleu_4", "rouge_l") if not prefix else ("bleu_4",)
                answers.setdefault(name, {}).update({prefix + key: scores[key] for key in kept})
        for name, row in rows.items():
            row.append(answers[name])
    return {
        name: {metric: float(np.mean([one[metric] for one in row])) for metric in row[0]}
        for name, row in rows.items()
    }


def chances(*, seeds: Sequence[int], fast: bool):
    count = _setting(fast).test
    return {"chance": {f"recall_at_{k}": k / count for k in (1, 5)}}
