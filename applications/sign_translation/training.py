"""Training from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.augmentation import ClipAugmentation
from applications.sign_translation.callbacks import DevBleu
from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.frame_folders import load_labelled_frames
from applications.sign_translation.gfslt_vlp import GFSLTVLP
from applications.sign_translation.recipes import FrameRecipe, SLTRecipe, VLPRecipe
from applications.sign_translation.stages import fit_stages
from applications.sign_translation.text import SentenceTokenizer
from applications.sign_translation.video_folder import VIDEOS, load_video_folder

SIZE = (64, 64)
LABELS, DEV_LABELS, FRAMES = "labels.train", "labels.dev", "frames"


class TrainingClips(NamedTuple):
    """Clips to train on, and held-out ones, maybe none."""

    clips: Sequence[SignedClip]
    held_out: Sequence[SignedClip]


def training_clips(data: Path | None, seed: int = 0) -> TrainingClips:
    """The clips of a folder, or rendered ones.

    Args:
        data: a folder with `videos/` and `sentences.csv`, see `load_video_folder`; or with `labels.train`,
            maybe `labels.dev`, and `frames/`, see `load_labelled_frames`; `None`: 200 rendered clips.
        seed: moves the rendered clips.

    Raises:
        ValueError: if the folder holds neither.
    """
    if data is None:
        world = SigningWorld(seed)
        return TrainingClips(world.clips(200), world.clips(50, "dev"))
    data = Path(data)
    if (data / VIDEOS).is_dir():
        return TrainingClips(load_video_folder(data, SIZE, channels=1), ())
    if not (data / LABELS).is_file():
        raise ValueError(f"{data} must hold {VIDEOS}/ and sentences.csv, or {LABELS} and {FRAMES}/.")
    parts = [
        load_labelled_frames(data / labels, data / FRAMES, SIZE, channels=1)
        if (data / labels).is_file()
        else ()
        for labels in (LABELS, DEV_LABELS)
    ]
    return TrainingClips(*parts)


def train(run, *, data: Path | None = None, seed: int = 0, epochs: int | None = None) -> GFSLTVLP:
    """Trains all stages of a small GFSLT-VLP for the command line.

    Args:
        run: the `applications.runs.RunFolder`, which keeps what this returns and goes on after an
            interruption, in whichever stage it came.
        data: a folder for `training_clips`; `None`: rendered clips.
        seed: moves clips, their order, the noise and the initial weights.
        epochs: of the last stage, `None`: 30; stage 1 has 1.6 times as many.

    Returns:
        The model of the last stage; its `history` holds the loss and, with held-out clips, their BLEU-4.
    """
    epochs = epochs or 30
    clips, held_out = training_clips(data, seed)
    sentences = [clip.sentence for clip in clips]
    tokenizer = SentenceTokenizer.fit(sentences)
    longest = max(len(clip.frames) for clip in (*clips, *held_out))
    architecture = Architecture.small(
        tokenizer.size,
        clips[0].frames.shape[1:],
        max_frames=min(300, longest),
        max_length=tokenizer.encode(sentences).shape[1] + 4,
        seed=seed,
    )
    watch = []
    if held_out:
        every = max(1, epochs // 6)
        watch = [
            DevBleu([clip.frames for clip in held_out], [clip.references for clip in held_out], every=every)
        ]
    return fit_stages(
        [clip.frames for clip in clips],
        sentences,
        tokenizer,
        architecture,
        frames=FrameRecipe(),
        first=VLPRecipe.small(max(1, round(1.6 * epochs)), batch_size=min(32, max(2, len(clips) // 2))),
        second=SLTRecipe.small(epochs),
        augmentation=ClipAugmentation.small(),
        seed=seed,
        callbacks=watch,
        run=run,
        verbose=2,
    ).model
