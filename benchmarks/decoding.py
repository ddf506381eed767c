"""What the caches of `FeatureDecoder` save and what a beam costs, on the backend of KERAS_BACKEND, as JSON.

Ratios of tokens a second, medians over repetitions after a first call that compiles. "Uncached" is the same
search over a decoder that passes the whole text through the network for each new token.
"""

import argparse
import json

import keras
import numpy as np
from keras import ops

from benchmarks.common import median_seconds
from contrast.decoding import BeamSearch, FeatureDecoder


class Uncached:
    """A `FeatureDecoder` whose only cache is the text so far."""

    def __init__(self, decoder):
        self.decoder = decoder
        self.variables = decoder.variables

    def start_cache(self, features, feature_mask, length):
        return {"memory": features, "state": ops.zeros((features.shape[0], length), "int32")}

    def step(self, tokens, index, cache):
        features, ids = cache["memory"], cache["state"]
        ids = ops.where(ops.equal(ops.arange(ids.shape[1]), index), tokens[:, None], ids)
        features_of_rows = ops.repeat(features, ids.shape[0] // features.shape[0], axis=0)
        logits = self.decoder({"features": features_of_rows, "ids": ids}, training=False)
        return ops.take(logits, index, axis=1), {"memory": features, "state": ids}


def seconds_per_text(decoder, features, length, beam_width, repetitions):
    # A prompt of the full length: no text ends early, every search takes the same number of steps.
    prompt = np.full((len(features), length), 3)
    search = BeamSearch(decoder, start_id=1, end_id=2, max_length=length, beam_width=beam_width)
    return median_seconds(lambda: search(features, prompt=prompt), repetitions, warm_up=1)


def measure(lengths: list[int], batch: int, dim: int, repetitions: int) -> dict:
    """Tokens a second of cached over uncached decoding, and of beam 4 over greedy, for each length."""
    keras.utils.set_random_seed(0)
    decoder = FeatureDecoder(vocabulary_size=1000, dim=dim, depth=2, heads=4, max_length=max(lengths))
    features = np.random.default_rng(0).normal(size=(batch, 30, dim)).astype("float32")
    decoder({"features": features, "ids": np.ones((batch, 2), "int32")})
    rows = []
    for length in lengths:
        greedy = seconds_per_text(decoder, features, length, 1, repetitions)
        uncached = seconds_per_text(Uncached(decoder), features, length, 1, repetitions)
        beam = seconds_per_text(decoder, features, length, 4, repetitions)
        rows.append(
            {
                "length": length,
                "milliseconds_per_token": round(1000 * greedy / length, 3),
                "cached_over_uncached": round(uncached / greedy, 2),
                "beam_4_over_greedy": round(greedy / beam, 2),
            }
        )
    return {"backend": keras.config.backend(), "batch": batch, "dim": dim, "lengths": rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 48, 96])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(measure(**vars(arguments)), indent=2))
