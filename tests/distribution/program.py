"""Trains on one device and on several: `python -m tests.distribution.program FOLDER DEVICES [NAME ...]`.

Each process writes for each training what both left. Without names all trainings are run, and some more.
"""

import json
import sys
from pathlib import Path

import contrast.distribution

folder, devices = Path(sys.argv[1]), sys.argv[2]
REPLICAS = contrast.distribution.start(int(devices) if devices != "auto" else "auto")

import keras  # noqa: E402
import numpy as np  # noqa: E402

from contrast.features import predict_rows  # noqa: E402
from tests.distribution import trainings  # noqa: E402

BACKEND = keras.backend.backend()
UNEVEN = 21  # rows in batches of 8: the last one has 5
DIFFERENT = []
COMPILED = ("SimCLR",)  # on TensorFlow; the others run step by step, which costs no compilation


def trained(name, alone, batch_norm="synchronized", rows=trainings.ROWS, validate=False):
    """What a training leaves on one device, or on all of them."""
    compiled = rows == trainings.ROWS and batch_norm == "synchronized" and name in COMPILED
    eager = BACKEND == "tensorflow" and REPLICAS.processes == 1 and not compiled
    data = trainings.Batches(rows=rows)
    if alone:
        return trainings.train(trainings.make(name), data, eager=eager, validate=validate)()
    with REPLICAS.scope():
        model = trainings.make(name)
        fit = trainings.train(model, REPLICAS.batches(data), eager=eager, validate=validate)
        REPLICAS.prepare(model, batch_norm)
        left = fit()
        several_here = REPLICAS.count > REPLICAS.processes
        if BACKEND == "tensorflow" and several_here and batch_norm == "synchronized":
            DIFFERENT.extend(f"{name}: {variable.path}" for variable in model.variables if differs(variable))
        return left


def differs(variable):
    """Whether a replica of this process has another copy of the variable."""
    first, *others = [copy.numpy() for copy in variable.value.values]
    assert others
    return any(np.abs(first - other).max() > 1e-6 * max(1, np.abs(first).max()) for other in others)


def seed_state(left):
    return next(array for key, array in left.items() if key.endswith("seed_generator_state")).tolist()


def message(function):
    try:
        function()
    except ValueError as error:
        return str(error)
    return ""


def compare(name, file=None, **options):
    """Keeps what a training on all devices leaves, and the first process what one leaves on one.

    On TensorFlow and JAX several processes only work together: there a process by itself has to train what
    they are compared with.
    """
    kinds = ["many"]
    if REPLICAS.index == 0 and (BACKEND == "torch" or REPLICAS.processes == 1):
        kinds.insert(0, "one")
    for kind in kinds:
        left = trained(name, kind == "one", **options)
        np.savez(folder / f"{file or name}-{kind}-{REPLICAS.index}.npz", **left)


def more():
    """What is no comparison, as values for JSON."""
    said = {"too few": message(lambda: trained("SimCLR", alone=False, rows=9))}
    if BACKEND == "jax":
        said["uneven"] = message(lambda: trained("SimCLR", alone=False, rows=UNEVEN))
    else:
        for name in ("losses", "applications"):
            compare(name, f"uneven-{name}", rows=UNEVEN)
        loose = trained("SimCLR", alone=False, batch_norm="per_replica")
        np.savez(folder / f"per_replica-{REPLICAS.index}.npz", **loose)
    with REPLICAS.scope():
        encoder = trainings.encoder()
        rows = trainings.VIEWS[:8, 0]
        found, expected = predict_rows(encoder, rows), keras.ops.convert_to_numpy(encoder(rows))
        said["predicted"] = found.shape == expected.shape and bool(np.abs(found - expected).max() < 1e-5)
    left = trained("draws", alone=False)
    said["drawn"] = next(array for key, array in left.items() if key.endswith("drawn")).tolist()
    said["seed state"] = seed_state(left)
    said["seed state of one device"] = seed_state(trained("draws", alone=True))
    return said


def main(names):
    said = {"count": REPLICAS.count, "processes": REPLICAS.processes, "index": REPLICAS.index}
    for name in names or trainings.NAMES[BACKEND]:
        compare(name, validate=bool(names) and BACKEND != "torch")
    if not names:
        said |= more()
    said["copies differ"] = DIFFERENT
    (folder / f"said-{REPLICAS.index}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[3:])
