"""Time and memory of NT-Xent with its gradient over N embeddings: ours, its peers, and the bare work.

N counts rows of the matrix of logits: both views of N / 2 samples. Ours runs on each backend; the peers are
the dense loss in Keras, pytorch-metric-learning's, plain PyTorch as lightly writes it, and
sentence-transformers' cached loss where it is installed (one direction, so a quarter of the pairs). The
reference work is three bare products of N x N x D and two exponentials of N x N, tile by tile, in the
backend's own operations. Seconds are the processor's on one core, the least over repetitions, of which there
is one beyond 16,384 rows; ours and the reference take turns in one process, which gives `ratio`. Memory is
the growth of the process's peak, each contender in a process of its own. With `--device gpu` seconds are
those of the clock and memory is the accelerator's.

Dense losses that would not fit into the memory that is free are not run. TensorFlow compiles with XLA, as
`fit` does; `tensorflow-graph` is without.
"""

import importlib.util
import math
import time
from pathlib import Path

from benchmarks import common
from benchmarks.loss_steps import TEMPERATURE, reference, stepper, used_memory

WARM_UP = 256
REFERENCE_TILE = 512  # 1 MB, which stays in the cache of a core
GRAPH = "tensorflow-graph"
PEERS = {  # for each peer its backends, `None` for all, and bytes for N rows
    "dense Keras": (None, lambda n: 24 * n**2),
    "plain PyTorch": (["torch"], lambda n: 20 * n**2),
    "pytorch-metric-learning": (["torch"], lambda n: 6 * n**3),
    "sentence-transformers": (["torch"], lambda n: 0),
}
PRODUCTS = {  # of all rows with all columns, for value and gradient, as counted in operations
    "NTXent": 2,
    "NTXent, several positives": 4,
    "NTXent, negatives of a queue": 4,
    "SupervisedContrastive": 2,
    "DecoupledContrastive": 2,
    "InfoNCE": 4,
    "InfoNCE, symmetric": 8,
    "InfoNCE, several positives": 8,
    "SoftTargetContrastive": 4,
    "SigmoidContrastive": 4,
    "reference work": 3,
}


# Losses: functions of embeddings (N, dim), whose rows 2i and 2i + 1 are two views of a sample.


def ours(tile_size: int | None):
    from contrast.losses import NTXent

    loss = NTXent(TEMPERATURE, **({"tile_size": tile_size} if tile_size else {}))

    def value(z):
        from keras import ops

        return loss(None, ops.reshape(z, (-1, 2, z.shape[1])))

    return value


def dense_keras(z):
    import keras
    from keras import ops

    z = ops.normalize(z, axis=1)
    logits = ops.matmul(z, ops.transpose(z)) / TEMPERATURE - 1e9 * ops.eye(z.shape[0])
    partners = ops.arange(z.shape[0]) ^ 1
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(partners, logits)


def plain_torch(z):
    import torch

    z = torch.nn.functional.normalize(z, dim=1)
    logits = z @ z.T / TEMPERATURE
    logits.fill_diagonal_(-torch.inf)
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(z), device=z.device) ^ 1)


def metric_learning(z):
    import torch
    from pytorch_metric_learning.losses import NTXentLoss

    return NTXentLoss(TEMPERATURE)(z, torch.arange(len(z), device=z.device) // 2)


def sentence_transformers(z):
    import torch
    from sentence_transformers.losses import CachedMultipleNegativesRankingLoss

    model = torch.nn.Sequential(torch.nn.Identity())
    loss = CachedMultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE, mini_batch_size=1024)
    views = [z.detach()[view::2].requires_grad_() for view in (0, 1)]
    with torch.enable_grad():  # each chunk's gradient at once, as its training step does
        value = loss.calculate_loss([list(x.split(1024)) for x in views], with_backward=True)
    gradient = torch.stack([x.grad for x in views], dim=1).reshape(z.shape)
    linear = (z * gradient).sum()
    return value + linear - linear.detach()


def loss_of(name: str, tile_size: int | None):
    return {
        "ours": ours(tile_size),
        "dense Keras": dense_keras,
        "plain PyTorch": plain_torch,
        "pytorch-metric-learning": metric_learning,
        "sentence-transformers": sentence_transformers,
    }[name]


def measure(
    size: int, dim: int, repetitions: int, graph: bool, tile_size: int | None, name: str, device: str
) -> dict:
    """In a child: seconds and memory of one contender; for `ratio`, seconds of ours and of the reference."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    if name == "ratio":
        steps = {
            "ours": stepper(ours(tile_size), size, dim, graph),
            "reference": reference(size, dim, REFERENCE_TILE, graph),
        }
        seconds = common.interleaved(steps, repetitions, clock)
        return {**seconds, "ratio": seconds["ours"] / seconds["reference"]}
    loss = loss_of(name, tile_size)
    stepper(loss, WARM_UP, dim, graph)()
    step = stepper(loss, size, dim, graph)
    before = used_memory(device)
    value, _ = step()
    grown = used_memory(device) - before
    seconds = common.interleaved({name: step}, repetitions, clock, warm=True)[name]
    return {"seconds": seconds, "extra_mb": grown, "value": value}


def free_memory() -> float:
    """Bytes that a new process may take; unknown systems count as endless."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    return 1024 * next(float(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def contenders(backends: list[str]):
    """Pairs of a contender's name and the backend on which it runs."""
    for backend in backends:
        yield "ratio", backend
        yield "ours", backend
    for name, (known, _) in PEERS.items():
        yield from ((name, backend) for backend in backends if backend in (known or backends))


def run(arguments, memory: float) -> list[dict]:
    rows = []
    for size in arguments.sizes:
        for name, backend in contenders(arguments.backends):
            row = {"name": name, "backend": backend, "size": size}
            package = name.replace("-", "_")
            if name in PEERS and PEERS[name][1](size) > memory:
                row["failed"] = "does not fit"
            elif "-" in name and importlib.util.find_spec(package) is None:
                row["failed"] = "not installed"
            else:
                row |= common.in_process(
                    __file__,
                    backend.removesuffix("-graph"),
                    {
                        "size": size,
                        "dim": arguments.dim,
                        "repetitions": arguments.repetitions if size <= 16384 else 1,
                        "graph": backend == GRAPH,
                        "tile_size": arguments.tile_size,
                        "name": name,
                        "device": arguments.device,
                    },
                    threads=1 if arguments.device == "cpu" else None,
                    limit=arguments.limit,
                    **({"CUDA_VISIBLE_DEVICES": ""} if arguments.device == "cpu" else {}),
                )
            rows.append(row)
            print(row, flush=True)
    return rows


def summary(rows: list[dict]) -> str:
    """The tables of seconds, memory and ratios, contenders by sizes."""
    sizes = sorted({row["size"] for row in rows})
    texts = []
    for title, key, is_ratio in (
        ("Seconds", "seconds", False),
        ("Memory, MB", "extra_mb", False),
        ("Ours over the reference work, seconds", "ratio", True),
    ):
        lines = {}
        for row in rows:
            if (row["name"] == "ratio") == is_ratio:
                label = row["backend"] if is_ratio else f"{row['name']}, {row['backend']}"
                lines.setdefault(label, {})[row["size"]] = row.get(key, row.get("failed"))
        body = [[label, *(values.get(size) for size in sizes)] for label, values in lines.items()]
        texts.append(f"{title}\n\n" + common.table(["N", *map(str, sizes)], body))
    products = common.table(["loss", "products of N x N x D"], [list(item) for item in PRODUCTS.items()])
    return "\n\n".join([*texts, f"Work of the losses, value and gradient\n\n{products}"])


def plot(rows: list[dict]):
    figure, axes = common.subplots(1, 2, (13, 4))
    lines: dict[str, list[dict]] = {}
    for row in rows:
        if "seconds" in row:
            lines.setdefault(f"{row['name']}, {row['backend']}", []).append(row)
    for axis, key, title in ((axes[0], "seconds", "seconds"), (axes[1], "extra_mb", "memory, MB")):
        for number, (label, known) in enumerate(lines.items()):
            values = [max(1e-4, row[key]) for row in known]
            style = {"linestyle": "-" if label.startswith("ours") else ":", "color": f"C{number % 10}"}
            marker = "os"[number // 10]
            axis.loglog([row["size"] for row in known], values, marker=marker, label=label, **style)
        axis.set(xlabel="N", title=title)
        common.doubling_axis(axis, [row["size"] for row in rows])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def main() -> None:
    parser = common.parser(__doc__, backends=("torch", "jax", "tensorflow", GRAPH))
    parser.add_argument("--sizes", type=int, nargs="+", default=[2**k for k in range(10, 17)])
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--tile-size", type=int, help="of ours; its default if not given")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--memory", type=float, help="GB that a peer may take; by default what is free")
    arguments = parser.parse_args()
    memory = arguments.memory * 2**30 if arguments.memory else free_memory()
    rows = run(arguments, memory)
    results = {
        "dim": arguments.dim,
        "device": arguments.device,
        "machine": common.machine(),
        "products": PRODUCTS,
        "results": rows,
    }
    common.write_results(arguments.output, "losses", results, summary(rows), plot(rows))


if __name__ == "__main__":
    common.run(measure, main)
