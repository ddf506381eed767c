"""Time and memory of the losses of metric learning beside pytorch-metric-learning's; prints JSON.

A batch of N embeddings has N / 4 classes with four samples each. Measured is the loss with its gradient, on
one core of the PyTorch backend: seconds of the processor, the median over repetitions, and by how many MB the
process grows at most. Each measurement runs in a process of its own, after a first call with a small batch.
Arguments are those at which the definitions agree, or the defaults. With `--plot`, a picture is drawn.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["KERAS_BACKEND"] = "torch"

import numpy as np

from contrast import losses


def pairs(dim: int) -> dict[str, tuple[Callable, Callable | None]]:
    """For each loss how ours is made and how theirs, from the number of classes."""
    from pytorch_metric_learning import losses as peers
    from pytorch_metric_learning import miners

    def multi_similarity(classes):
        loss, miner = peers.MultiSimilarityLoss(), miners.MultiSimilarityMiner()
        return lambda embeddings, labels: loss(embeddings, labels, miner(embeddings, labels))

    return {
        "PairContrastive": (lambda _: losses.PairContrastive(), lambda _: peers.ContrastiveLoss()),
        "TripletMargin": (lambda _: losses.TripletMargin(0.05), lambda _: peers.TripletMarginLoss()),
        "MultiSimilarity": (lambda _: losses.MultiSimilarity(), multi_similarity),
        "Circle": (lambda _: losses.Circle(), lambda _: peers.CircleLoss()),
        "NPairs": (lambda _: losses.NPairs(), lambda _: peers.NPairsLoss()),
        "LiftedStructure": (
            lambda _: losses.LiftedStructure(),
            lambda _: peers.GeneralizedLiftedStructureLoss(),
        ),
        "SupervisedContrastive": (
            lambda _: losses.SupervisedContrastive(),
            lambda _: peers.SupConLoss(),
        ),
        "SoftNearestNeighbor": (lambda _: losses.SoftNearestNeighbor(), None),
        "PN": (lambda _: losses.PN(), None),
        "ArcFace": (lambda n: losses.ArcFace(n, dim), lambda n: peers.ArcFaceLoss(n, dim)),
        "CosFace": (lambda n: losses.CosFace(n, dim), lambda n: peers.CosFaceLoss(n, dim)),
        "ProxyAnchor": (lambda n: losses.ProxyAnchor(n, dim), lambda n: peers.ProxyAnchorLoss(n, dim)),
        "ProxyNCA": (lambda n: losses.ProxyNCA(n, dim), lambda n: peers.ProxyNCALoss(n, dim)),
        "SoftTriple": (lambda n: losses.SoftTriple(n, dim), lambda n: peers.SoftTripleLoss(n, dim)),
    }


def batch(size: int, dim: int) -> tuple:
    """Embeddings that take a gradient, and labels."""
    import torch

    embeddings = np.random.default_rng(0).normal(size=(size, dim)).astype("float32")
    return torch.tensor(embeddings, requires_grad=True), torch.arange(size) // 4


def step(make: Callable, ours: bool, size: int, dim: int) -> Callable[[], None]:
    """A function that computes the loss of a batch and its gradient."""
    embeddings, labels = batch(size, dim)
    loss = make(size // 4)

    def run():
        value = loss(labels, embeddings[:, None]) if ours else loss(embeddings, labels)
        value.backward()

    return run


def memory(kind: str) -> float:
    """MB of this process: `VmRSS`, now, or `VmHWM`, at most."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(kind))


def child(pipe, make, ours, size, dim, repetitions):
    step(make, ours, 16, dim)()
    run = step(make, ours, size, dim)
    before = memory("VmRSS")
    seconds = []
    for _ in range(repetitions):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    growth = max(0.0, memory("VmHWM") - before)
    pipe.send({"seconds": round(statistics.median(seconds), 5), "extra_mb": round(growth, 1)})


def measured(*arguments) -> dict | None:
    """What a process of its own finds; `None` if it does not survive, for want of memory."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(sending, *arguments))
    process.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        return None
    finally:
        process.join()


def measure(sizes: list[int], dim: int, repetitions: int) -> list[dict]:
    results = []
    for name, (ours, theirs) in pairs(dim).items():
        for size in sizes:
            row = {"loss": name, "batch": size, "ours": measured(ours, True, size, dim, repetitions)}
            if theirs is not None:
                row["peer"] = measured(theirs, False, size, dim, repetitions)
            if row["ours"] and row.get("peer"):
                row["seconds_ratio"] = round(row["ours"]["seconds"] / row["peer"]["seconds"], 3)
            results.append(row)
    return results


def plot(results: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["loss"] for row in results))
    width = -(-len(names) // 2)
    figure, axes = plt.subplots(4, width, figsize=(2.2 * width, 9), squeeze=False, layout="constrained")
    for number, name in enumerate(names):
        rows = [row for row in results if row["loss"] == name]
        for line, key in enumerate(("seconds", "extra_mb")):
            axis = axes[2 * (number // width) + line, number % width]
            for side in ("ours", "peer"):
                known = [row for row in rows if row.get(side)]
                values = [max(0.1, row[side][key]) if key == "extra_mb" else row[side][key] for row in known]
                axis.loglog([row["batch"] for row in known], values, marker="o", label=side)
            axis.set_xlabel("batch", fontsize=8)
            axis.set_title(f"{name}: {key.replace('_', ' ')}", fontsize=8)
            axis.tick_params(labelsize=7, which="both")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write to")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # a process with threads must not be forked
    results = measure(arguments.batches, arguments.dim, arguments.repetitions)
    report = json.dumps({"dim": arguments.dim, "results": results}, indent=2)
    print(report)
    if arguments.json:
        arguments.json.write_text(report + "\n", encoding="utf-8")
    if arguments.plot:
        plot(results, arguments.plot)
