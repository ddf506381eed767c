"""How time and memory grow with batch, dimension, queue and devices.

    python benchmarks/growth.py

Batch and dimension: NT-Xent with its gradient, on two views of each sample. Queue: InfoNCE with its
gradient, on a batch of pairs beside negatives from a queue. Devices: a training step of SimCLR on one global
batch, which JAX spreads over virtual devices of one processor (`--xla_force_host_platform_device_count`):
they share it, so that what grows is the price of spreading, not the speed.

TensorFlow runs without XLA here; `fit` uses it.

Each line is a process of its own on one thread, its sizes in ascending order; seconds are those of the
processor, memory is how much more than before its first size the process has needed. The exponent is the
slope between the last two sizes on logarithmic axes: 2 is quadratic.

Writes `growth.json`, `.md` and `.svg`.
"""

import math

import numpy as np

from benchmarks import common

AXES = ("batch", "dim", "queue")


def measure(axis: str, sizes: list[int], fixed: dict, repetitions: int) -> dict:
    """Seconds and MB at each size; `devices` has one size, that of this process."""
    if axis == "devices":
        return measure_devices(sizes[0], fixed, repetitions)
    from keras import ops

    from contrast import backend, losses

    rng = np.random.default_rng(0)
    memory, points = None, []
    for size in sizes:
        setting = {**fixed, axis: size}
        views = rng.normal(size=(setting["batch"], 2, setting["dim"])).astype("float32")
        queue = rng.normal(size=(setting["queue"], setting["dim"])).astype("float32")
        if axis == "queue":
            loss = losses.InfoNCE(temperature=0.1)
            function = step(backend, lambda z, negatives, loss=loss: loss(None, z, negatives=negatives))
            inputs = [ops.convert_to_tensor(array) for array in (views, queue)]
        else:
            loss = losses.NTXent(temperature=0.1)
            function = step(backend, lambda z, loss=loss: loss(None, z))
            inputs = [ops.convert_to_tensor(views)]
        memory = common.peak_memory() if memory is None else memory

        def run(function=function, inputs=inputs):
            value, gradients = function(*inputs)
            return [ops.convert_to_numpy(part) for part in (value, *gradients)]

        seconds = common.interleaved({"run": run}, repetitions)["run"]
        points.append({"size": size, "seconds": seconds, "extra_mb": common.peak_memory() - memory})
    return {"machine": common.machine(), "points": points, "exponent": exponent(points)}


def step(backend, loss):
    """The loss of the first tensor and its gradient, compiled where the backend compiles."""
    return backend.compiled(lambda z, *rest: backend.value_and_grad(lambda z: loss(z, *rest), z), list)


def measure_devices(count: int, fixed: dict, repetitions: int) -> dict:
    import jax
    import keras

    from contrast import encoders, models

    if len(jax.devices()) != count:
        raise RuntimeError(f"{count} virtual devices were asked for, JAX has {len(jax.devices())}.")
    if count > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    keras.utils.set_random_seed(0)
    encoder = encoders.ConvNet((16, 32))
    encoder.build((None, 16, 16, 3))
    model = models.SimCLR(encoder, projector=(64, 32))
    model.compile(keras.optimizers.SGD(0.01))
    steps, batch = 4, fixed["batch"]
    views = np.random.default_rng(0).random((steps * batch, 2, 16, 16, 3), dtype="float32")
    memory, losses = common.peak_memory(), []

    def epoch():
        history = model.fit(views, batch_size=batch, shuffle=False, verbose=0).history
        losses.append(float(history["loss"][0]))

    seconds = common.interleaved({"epoch": epoch}, repetitions)["epoch"]
    point = {"size": count, "seconds": seconds / steps, "extra_mb": common.peak_memory() - memory}
    return {"machine": common.machine(), "points": [point], "losses": losses}


def exponent(points: list[dict]) -> float | None:
    """The slope between the last two points on logarithmic axes."""
    if len(points) < 2:
        return None
    first, last = points[-2:]
    return math.log(last["seconds"] / first["seconds"]) / math.log(last["size"] / first["size"])


def joined(axis: str, backend: str, parts: list[dict]) -> dict:
    """One line of several processes, as devices have it; a failure stays beside the points that there are."""
    found = {"axis": axis, "backend": backend, **parts[0]}
    found["points"] = [point for part in parts for point in part.get("points", [])]
    found["exponent"] = exponent(found["points"])
    if len(parts) > 1:
        found["losses"] = [part.get("losses") for part in parts]
    failures = [part["failed"] for part in parts if "failed" in part]
    return found | ({"failed": failures[0]} if failures else {})


def report(lines: list[dict]) -> str:
    texts = []
    for axis in dict.fromkeys(line["axis"] for line in lines):
        known = [line for line in lines if line["axis"] == axis]
        sizes = sorted({point["size"] for line in known for point in line["points"]})
        columns = [f"{line['backend']}, {unit}" for unit in ("ms", "MB more") for line in known]
        rows = []
        for size in sizes:
            points = [next((p for p in line["points"] if p["size"] == size), None) for line in known]
            times = [point and 1000 * point["seconds"] for point in points]
            rows.append([size, *times, *(point and round(point["extra_mb"]) for point in points)])
        rows.append(["exponent", *(line.get("exponent") for line in known), *(None for _ in known)])
        texts.append(common.table([axis, *columns], rows))
        texts += [f"{line['backend']}: {line['failed']}" for line in known if "failed" in line]
    return "\n\n".join(texts)


def plot(lines: list[dict]):
    axes_of = list(dict.fromkeys(line["axis"] for line in lines))
    figure, axes = common.subplots(2, len(axes_of), (3.6 * len(axes_of), 5.5), squeeze=False)
    for column, name in enumerate(axes_of):
        for row, (key, title) in enumerate((("seconds", "seconds"), ("extra_mb", "MB more"))):
            axis = axes[row, column]
            for line in lines:
                if line["axis"] == name and line["points"]:
                    sizes = [point["size"] for point in line["points"]]
                    values = [max(point[key], 0.1 if key == "extra_mb" else 0) for point in line["points"]]
                    axis.loglog(sizes, values, marker="o", label=line["backend"])
            axis.set(xlabel=name, ylabel=title)
            common.doubling_axis(
                axis, [p["size"] for line in lines if line["axis"] == name for p in line["points"]]
            )
            axis.legend(fontsize=7)
    return figure


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--dim", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--queue", type=int, nargs="+", default=[1024, 4096, 16384, 65536])
    parser.add_argument("--devices", type=int, nargs="*", default=[1, 2, 4])
    arguments = parser.parse_args()
    fixed = {"batch": 256, "dim": 128, "queue": 0}
    options = {"fixed": fixed, "repetitions": arguments.repetitions}
    lines = []
    for axis in AXES:
        for backend in arguments.backends:
            request = {"axis": axis, "sizes": sorted(getattr(arguments, axis)), **options}
            result = common.in_process(__file__, backend, request, limit=arguments.limit)
            lines.append(joined(axis, backend, [result]))
    parts = [
        common.in_process(
            __file__,
            "jax",
            {"axis": "devices", "sizes": [count], **options},
            limit=arguments.limit,
            XLA_FLAGS=f"--xla_force_host_platform_device_count={count}",
            JAX_PLATFORMS="cpu",
        )
        for count in sorted(arguments.devices)
    ]
    if parts:
        lines.append(joined("devices", "jax", parts))
    found = {"fixed": fixed, "lines": lines}
    common.write_results(arguments.output, "growth", found, report(lines), plot(lines))


if __name__ == "__main__":
    common.run(measure, main)
