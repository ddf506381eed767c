"""Memory and time of a training step over the batch, in chunks and otherwise; writes JSON, a table, a plot.

A dual encoder of two perceptrons learns pairs with the symmetric InfoNCE in three ways: "dense" holds the
matrix of similarities and all activations, as plain code does; "tiled" never holds the matrix; "chunks"
neither the matrix nor more activations than those of a chunk (`encode_chunk`), and runs forward once more.
Each measurement has a process of its own on one core: after a step with a small batch, by how many MB the
process grows at most, with what the compiler needs and with the data, and the processor's seconds of a
further step. All start from the same weights, and their losses are compared.

    python benchmarks/batch_size.py
    python benchmarks/batch_size.py --backends torch --batches 1024 4096 --chunk 512
"""

import json
from pathlib import Path

from benchmarks import common

ARMS = ("dense", "tiled", "chunks")
SMALL = 256


def encoder(width: int, layers: int):
    import keras

    dense = [keras.layers.Dense(width, activation="gelu") for _ in range(layers)]
    return keras.Sequential([keras.Input((width,)), *dense])


def dual_encoder(width: int, layers: int, dense: bool, chunk: int | None):
    from contrast.losses import InfoNCE
    from contrast.models import DualEncoder

    class Dense(DualEncoder):
        def make_loss(self):
            return InfoNCE(self.temperature, symmetric=True, same_id=self.same_id, tile_size=None)

    scheme = Dense if dense else DualEncoder
    return scheme(encoder(width, layers), encoder(width, layers), dim=64, encode_chunk=chunk)


def measure(batch: int, arm: str, chunk: int, width: int, layers: int, repetitions: int) -> dict:
    """Growth of memory, seconds of a step and the first loss, in this process."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    model = dual_encoder(width, layers, arm == "dense", chunk if arm == "chunks" else None)
    model.compile(keras.optimizers.SGD(0.01))

    def pairs(rows):
        generator = np.random.default_rng(rows)
        return tuple(generator.normal(size=(rows, width)).astype("float32") for _ in range(2))

    model.train_on_batch(pairs(SMALL))
    before = common.peak_memory()
    data, losses = pairs(batch), []
    seconds = common.interleaved({"step": lambda: losses.append(model.train_on_batch(data))}, repetitions)
    return {
        "megabytes": round(common.peak_memory() - before, 1),
        "seconds": round(seconds["step"], 3),
        "loss": float(losses[0]),
    }


def measured(backend: str, batch: int, setting: dict, limit: float) -> dict:
    """All arms of one batch on one backend; an arm that did not survive says why."""
    row = {"backend": backend, "batch": batch}
    for arm in ARMS:
        request = {"batch": batch, "arm": arm, **setting}
        row[arm] = common.in_process(__file__, backend, request, limit=limit)
    return row


def ratio(row: dict, key: str) -> float | None:
    """What chunks need over what dense code needs."""
    dense, chunks = row["dense"].get(key), row["chunks"].get(key)
    return chunks / dense if dense and chunks else None


def spread(losses: list[float]) -> float | None:
    """The largest relative difference of losses that should be equal."""
    return (max(losses) - min(losses)) / abs(min(losses)) if len(losses) > 1 else None


def text(report: dict) -> str:
    columns = ["backend", "batch"]
    columns += [f"{arm}, {unit}" for unit in ("MB", "s") for arm in ARMS]
    columns += ["chunks / dense, MB", "chunks / dense, s", "difference of losses"]
    lines = []
    for row in report["rows"]:
        cells = [row["backend"], row["batch"]]
        for key in ("megabytes", "seconds"):
            cells += [row[arm].get(key, row[arm].get("failed")) for arm in ARMS]
        losses = [row[arm]["loss"] for arm in ARMS if "loss" in row[arm]]
        lines.append([*cells, ratio(row, "megabytes"), ratio(row, "seconds"), spread(losses)])
    setting = report["setting"]
    caption = (
        f"Pairs of {setting['width']} numbers, two encoders of {setting['layers']} layers, chunks of at most "
        f"{setting['chunk']} rows; {report['machine']['processor']}, one core."
    )
    return f"{caption}\n\n{common.table(columns, lines)}"


def picture(report: dict):
    figure, axes = common.subplots(1, 2, (9, 3.5))
    for number, backend in enumerate(dict.fromkeys(row["backend"] for row in report["rows"])):
        for arm, style in zip(ARMS, (":", "--", "-"), strict=True):
            rows = [row for row in report["rows"] if row["backend"] == backend and "seconds" in row[arm]]
            if not rows:
                continue
            for axis, key in zip(axes, ("megabytes", "seconds"), strict=True):
                axis.plot(
                    [row["batch"] for row in rows],
                    [max(1e-3, row[arm][key]) for row in rows],
                    style,
                    color=f"C{number}",
                    marker="o",
                    label=f"{backend}, {arm}",
                )
    for axis, title in zip(axes, ("memory of a step, MB", "time of a step, s"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="batch", title=title)
        common.doubling_axis(axis, [row["batch"] for row in report["rows"]])
    if axes[0].lines:
        axes[0].legend(fontsize=7)
    return figure


def kept(folder: Path, setting: dict, backends: list[str], batches: list[int]) -> list[dict]:
    """Rows of other backends and batches that were measured in the same setting before."""
    try:
        earlier = json.loads((folder / "batch_size.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    if earlier["setting"] != setting:
        return []
    return [row for row in earlier["rows"] if row["backend"] not in backends or row["batch"] not in batches]


def main() -> None:
    parser = common.parser(__doc__, repetitions=1, limit=1200)
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--chunk", type=int, default=1024)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=12)
    options = parser.parse_args()
    setting = {key: getattr(options, key) for key in ("chunk", "width", "layers", "repetitions")}
    rows = kept(options.output, setting, options.backends, options.batches)
    for backend in options.backends:
        rows += [measured(backend, batch, setting, options.limit) for batch in options.batches]
    rows.sort(key=lambda row: (common.BACKENDS.index(row["backend"]), row["batch"]))
    report = {"setting": setting, "machine": common.machine(), "rows": rows}
    common.write_results(options.output, "batch_size", report, text(report), picture(report))


if __name__ == "__main__":
    common.run(measure, main)
