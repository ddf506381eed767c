"""Images scored per second by a small detector, beside the bare forward pass of its encoder; prints JSON.

The score adds to the forward pass: checks of the images, batches, unit length, and the search for the nearest
normal image. Backend of KERAS_BACKEND.
"""

import argparse
import json
import statistics
import time

import keras
import numpy as np

from applications.anomaly_detection import UniConHA


def seconds(functions: dict, repetitions: int) -> dict:
    """Medians over calls in turn; the first one of each, which compiles, does not count."""
    times = {name: [] for name in functions}
    for _ in range(repetitions + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def measure(images: int, side: int, bank: int, batch_size: int, repetitions: int) -> dict:
    """Images per second of the encoder's `predict`, of `score`, and of `score` with ten copies."""
    keras.utils.set_random_seed(0)
    draw = np.random.default_rng(0)
    normal, asked = (draw.random((count, side, side, 3), dtype="float32") for count in (bank, images))

    def detector(test_copies):
        made = UniConHA.small(test_copies=test_copies)
        made.build(normal.shape)
        made.compile("sgd")
        made.remember(normal)
        return made

    one, ten = detector(1), detector(10)
    inputs = keras.Input((side, side, 3))
    encoder = keras.Model(inputs, one.encoder(inputs))
    taken = seconds(
        {
            "forward": lambda: encoder.predict(asked, batch_size, verbose=0),
            "score": lambda: one.score(asked, batch_size),
            "score_10_copies": lambda: ten.score(asked, batch_size),
        },
        repetitions,
    )
    return {
        "backend": keras.config.backend(),
        "images": images,
        "side": side,
        "bank": bank,
        **{f"{name}_images_per_second": round(images / value) for name, value in taken.items()},
        "score_to_forward": round(taken["forward"] / taken["score"], 3),
        "score_10_copies_to_forward": round(taken["forward"] / taken["score_10_copies"], 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--bank", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=5)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
