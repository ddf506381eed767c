"""What report generation costs: cached image tokens against encoding in each step, decoding, as JSON.

All times are medians after a first call that compiles, on models with random weights. "Recomputed" encodes
the images of a batch anew in each step of stage 1, as a training without a cache has to; the small encoder is
four convolutions on 64 x 64 pixels, the other one a DINOv2 of 12 narrow layers on 112 x 112. "Uncached"
passes the whole report through the decoder for each new token. With `--table`, the three backends are
measured one after the other, each in a process of its own, and shown side by side.
"""

import argparse

from benchmarks.common import median_seconds
from benchmarks.side_by_side import run

VOCABULARY, IMAGE_TOKENS = 160, 18


def measure(lengths: list[int], studies: int, patients: int, repetitions: int) -> dict:
    """The figures of the backend of this process.

    Args:
        lengths: tokens of a report, for decoding.
        studies: that are decoded at once.
        patients: whose studies are an epoch of stage 1.
        repetitions: of each measurement.
    """
    import keras

    return {
        "backend": keras.config.backend(),
        "studies": studies,
        "patients": patients,
        "training": training(patients, repetitions),
        "decoding": decoding(lengths, studies, repetitions),
    }


def training(patients: int, repetitions: int) -> dict[str, float]:
    """Epochs of stage 1 with cached image tokens and without, for both encoders."""
    import keras

    from applications.report_generation.corpus import RadiographWorld
    from applications.report_generation.image_encoders import ConvolutionTokens
    from applications.report_generation.text import ReportTokenizer, study_texts

    keras.utils.set_random_seed(0)
    studies = RadiographWorld(0).studies(patients)
    tokenizer = ReportTokenizer.fit(study_texts(studies))
    figures = {}
    for name, encoder in (("convolutions", ConvolutionTokens()), ("vision_transformer", narrow_dino())):
        once, cached, recomputed = epochs(studies, tokenizer, encoder, repetitions)
        figures |= {
            f"{name}_encoding_once_seconds": round(once, 2),
            f"{name}_cached_epoch_seconds": round(cached, 2),
            f"{name}_recomputed_epoch_seconds": round(recomputed, 2),
            f"{name}_recomputed_over_cached": round(recomputed / cached, 2),
        }
    return figures


def narrow_dino():
    import keras_hub

    from applications.report_generation.image_encoders import DinoTokens

    return DinoTokens(
        keras_hub.models.DINOV2Backbone(
            patch_size=14,
            num_layers=12,
            hidden_dim=192,
            num_heads=3,
            intermediate_dim=768,
            image_shape=(112, 112, 3),
        )
    )


def epochs(studies, tokenizer, encoder, repetitions: int) -> tuple[float, float, float]:
    """Seconds of encoding all images once, of an epoch with their tokens, and of one without."""
    import time

    from applications.report_generation.architecture import Architecture
    from applications.report_generation.image_features import ImageFeatures, encode_images
    from applications.report_generation.recipes import PretrainingRecipe
    from applications.report_generation.stage_one import MLRGPretraining
    from applications.report_generation.stages import batches_of, new_model

    architecture = Architecture.small(tokenizer.size, encoder.image_dim, max_facts=64, max_prompt=80)
    recipe = PretrainingRecipe.small(1)
    model = new_model(MLRGPretraining(architecture))
    model.compile(recipe.optimizer())
    encode_images(studies, encoder)  # compiles
    started = time.perf_counter()
    features = encode_images(studies, encoder)
    once = time.perf_counter() - started
    sources = features, ImageFeatures(Recomputed(studies, encoder), features.rows)
    times = []
    for source in sources:
        batches = batches_of(studies, source, tokenizer, recipe, architecture, drop_remainder=True)

        def epoch(batches=batches):
            for number in range(len(batches)):
                model.train_on_batch(batches[number])

        times.append(median_seconds(epoch, repetitions, warm_up=2))
    return once, *times


class Recomputed:
    """Image tokens that are encoded whenever they are asked for, in the place of an array of them."""

    def __init__(self, studies, encoder, batch_size=32):
        import numpy as np

        from applications.report_generation.image_features import pixels

        views = {view.key: view for study in studies for view in study.images}
        self.images = np.stack([pixels(view, encoder.image_size) for view in views.values()])
        self.encoder, self.batch_size, self.shape = encoder, batch_size, (len(views), None, encoder.image_dim)

    def __getitem__(self, rows):
        import numpy as np

        wanted, places = np.unique(rows, return_inverse=True)
        filled = np.concatenate([wanted, wanted[-1:].repeat(-len(wanted) % self.batch_size)])
        parts = np.split(filled, len(filled) // self.batch_size)
        tokens = np.concatenate([self.encoder.predict_on_batch(self.images[part]) for part in parts])
        return tokens[places.reshape(np.shape(rows))]


def decoding(lengths: list[int], studies: int, repetitions: int) -> list[dict]:
    """Tokens and reports a second."""
    import keras
    import numpy as np

    from applications.report_generation.architecture import Architecture
    from benchmarks.decoding import Uncached, seconds_per_text

    keras.utils.set_random_seed(0)
    decoder = Architecture.small(VOCABULARY, max_length=max(lengths)).build_decoder()
    features = np.random.default_rng(0).normal(size=(studies, 2 * IMAGE_TOKENS, 64)).astype("float32")
    decoder({"features": features, "ids": np.ones((studies, 2), "int32")})
    rows = []
    for length in lengths:
        cached = seconds_per_text(decoder, features, length, 1, repetitions)
        uncached = seconds_per_text(Uncached(decoder), features, length, 1, repetitions)
        beam = seconds_per_text(decoder, features, length, 3, repetitions)
        rows.append(
            {
                "length": length,
                "cached_tokens_per_second": round(studies * length / cached),
                "uncached_tokens_per_second": round(studies * length / uncached),
                "beam_3_tokens_per_second": round(studies * length / beam),
                "cached_over_uncached": round(uncached / cached, 2),
                "beam_3_over_greedy": round(cached / beam, 2),
            }
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--studies", type=int, default=16)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--repetitions", type=int, default=5)
    run(__file__, measure, parser)
