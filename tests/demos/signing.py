"""Untrained models of the sign translation page, on a few small clips."""

import functools

import keras
import numpy as np

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.demo_model import DemoModel
from applications.sign_translation.gfslt_vlp import GFSLTVLP
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.stages import new_model
from applications.sign_translation.text import SentenceTokenizer

SCORES = {
    "bleu_4": 71.0,
    "shuffled_bleu_4": 21.0,
    "rouge_l": 80.0,
    "one_wording_bleu_4": 47.0,
    "recall_at_1": 0.12,
    "recall_at_5": 0.34,
}


class SmallWorld(SigningWorld):
    """Draws each clip alone and keeps nothing on disk."""

    def __init__(self, seed=0):
        super().__init__(seed, size=8)
        self.compose = functools.cache(self.compose)

    def clips(self, count, split="train"):
        return [self.compose(record, place) for place, record in enumerate(self.records(count, split))]


def untrained(held_out=6):
    world = SmallWorld()
    clips, kept_back = world.clips(6), world.clips(held_out, "test")
    tokenizer = SentenceTokenizer.fit([one for clip in clips for one in clip.references])
    sizes = {"dim": 8, "depth": 1, "heads": 2, "text_depth": 1, "text_heads": 2, "max_length": 24}
    architecture = Architecture.small(tokenizer.size, (8, 8, 1), max_frames=80, **sizes)
    keras.utils.set_random_seed(0)
    tokens = np.ones((1, 24))
    return DemoModel(
        world,
        new_model(GFSLTVLP(architecture, tokenizer), tokens),
        new_model(VLP(architecture), tokens),
        frozenset(clip.record for clip in clips),
        kept_back,
        world.clips(3, "held_out"),
        {
            "contrast_loss": [3.0, 2.0],
            "restoration_loss": [4.0, 3.0],
            "loss": [2.0, 1.8, 1.7, 1.6],
            "val_bleu_4": [0.0, 20.0, 20.0, 40.0],
        },
        2,
        dict(SCORES),
    )
