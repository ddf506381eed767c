"""Trains on one device and on several: `python -m tests.distribution.program FOLDER DEVICES`.

Writes for each training what both left, and for how many processes there are what each of them has.
"""

import json
import sys
from pathlib import Path

import contrast.distribution

folder, devices = Path(sys.argv[1]), sys.argv[2]
REPLICAS = contrast.distribution.start(int(devices) if devices != "auto" else "auto")

import keras  # noqa: E402
import numpy as np  # noqa: E402

from tests.distribution import trainings  # noqa: E402

BACKEND = keras.backend.backend()
NAMES = {
    "tensorflow": ("SimCLR", "losses", "MoCoV2", "SwAV", "DINO"),
    "jax": ("SimCLR", "MoCoV2", "SwAV"),
    "torch": (*trainings.SCHEMES, "losses"),
}
COMPILED = ("SimCLR",)  # on TensorFlow; the others run step by step, which costs no compilation


def trained(name, alone, batch_norm="synchronized", rows=trainings.ROWS, weighted=None):
    """What a training leaves on one device, or on all of them."""
    eager = BACKEND == "tensorflow" and name not in COMPILED
    data = trainings.Batches(rows=rows)
    if alone:
        return trainings.train(trainings.make(name), data, eager=eager)()
    with REPLICAS.scope():
        model = trainings.make(name)
        fit = trainings.train(model, REPLICAS.batches(data), eager=eager)
        REPLICAS.prepare(model, batch_norm)
        return fit()


def message(function):
    try:
        function()
    except ValueError as error:
        return str(error)
    return ""


def main(names):
    said = {"count": REPLICAS.count, "processes": REPLICAS.processes, "index": REPLICAS.index}
    for name in names:
        np.savez(folder / f"{name}-one-{REPLICAS.index}.npz", **trained(name, alone=True))
        np.savez(folder / f"{name}-many-{REPLICAS.index}.npz", **trained(name, alone=False))
    # The last batch has 5 rows.
    if BACKEND == "jax":
        said["uneven"] = message(lambda: trained("SimCLR", alone=False, rows=21))
    else:
        name = "losses"
        np.savez(folder / f"uneven-one-{REPLICAS.index}.npz", **trained(name, alone=True, rows=21))
        np.savez(folder / f"uneven-many-{REPLICAS.index}.npz", **trained(name, alone=False, rows=21))
    said["too few"] = message(lambda: trained("SimCLR", alone=False, rows=9))
    if BACKEND != "jax":
        loose = trained("SimCLR", alone=False, batch_norm="per_replica")
        np.savez(folder / f"per_replica-{REPLICAS.index}.npz", **loose)
    (folder / f"said-{REPLICAS.index}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[3:] or NAMES[BACKEND])
