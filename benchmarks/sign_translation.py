"""What sign translation costs: decoding with and without caches, beams, and training steps, as JSON.

All times are medians after a first call that compiles, on one model with random weights and random frames of
32 x 32 pixels. "Uncached" passes the whole text through the decoder for each new token. With `--table`, the
three backends are measured one after the other, each in a process of its own, and shown side by side.
"""

import argparse

from benchmarks.common import median_seconds
from benchmarks.side_by_side import run

VOCABULARY, FRAMES = 71, 48


def measure(lengths: list[int], clips: int, batch: int, repetitions: int) -> dict:
    """The figures of the backend of this process.

    Args:
        lengths: tokens of a text, for decoding.
        clips: that are decoded at once.
        batch: pairs of a training step.
        repetitions: of each measurement.
    """
    import keras

    return {
        "backend": keras.config.backend(),
        "clips": clips,
        "batch": batch,
        "decoding": decoding(lengths, clips, repetitions),
        "training": training(batch, repetitions),
    }


def decoding(lengths: list[int], clips: int, repetitions: int) -> list[dict]:
    import keras
    import numpy as np

    from applications.sign_translation.architecture import Architecture
    from benchmarks.decoding import Uncached, seconds_per_text

    keras.utils.set_random_seed(0)
    decoder = Architecture.small(VOCABULARY, max_length=max(lengths)).build_decoder()
    features = np.random.default_rng(0).normal(size=(clips, FRAMES // 4 + 1, 64)).astype("float32")
    decoder({"features": features, "ids": np.ones((clips, 2), "int32")})
    rows = []
    for length in lengths:
        cached = seconds_per_text(decoder, features, length, 1, repetitions)
        uncached = seconds_per_text(Uncached(decoder), features, length, 1, repetitions)
        beam = seconds_per_text(decoder, features, length, 4, repetitions)
        rows.append(
            {
                "length": length,
                "cached_tokens_per_second": round(clips * length / cached),
                "uncached_tokens_per_second": round(clips * length / uncached),
                "cached_over_uncached": round(uncached / cached, 2),
                "greedy_clips_per_second": round(clips / cached, 1),
                "beam_4_clips_per_second": round(clips / beam, 1),
                "beam_4_over_greedy": round(cached / beam, 2),
            }
        )
    return rows


def training(batch: int, repetitions: int) -> dict[str, float]:
    """Steps a second of both stages."""
    import keras
    import numpy as np

    from applications.sign_translation.architecture import Architecture
    from applications.sign_translation.batches import clip_batches
    from applications.sign_translation.gfslt_vlp import GFSLTVLP
    from applications.sign_translation.recipes import SLTRecipe, VLPRecipe
    from applications.sign_translation.stage_one import VLP

    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    architecture = Architecture.small(VOCABULARY, max_frames=FRAMES)
    clips = list(generator.integers(0, 256, (batch, FRAMES, 32, 32, 1), dtype="uint8"))
    tokens = np.concatenate(
        [generator.integers(5, VOCABULARY - 1, (batch, 14)), np.tile([2, VOCABULARY - 1], (batch, 1))], axis=1
    ).astype("int32")
    inputs = clip_batches(clips, tokens, batch_size=batch, shuffle=False)[0]
    models = {
        "stage_1": (VLP(architecture), VLPRecipe.small()),
        "stage_2": (GFSLTVLP(architecture), SLTRecipe.small()),
    }
    rates = {}
    for name, (model, recipe) in models.items():
        model.compile(recipe.optimizer(1000))

        def step(model=model):
            # the same batch again and again, without what makes batches
            model.train_on_batch(inputs)

        rates[f"{name}_steps_per_second"] = round(1 / median_seconds(step, 4 * repetitions, warm_up=2), 2)
    return rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repetitions", type=int, default=5)
    run(__file__, measure, parser)
