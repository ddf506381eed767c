"""Time and memory of NT-Xent with its gradient over N embeddings: ours, its peers, and the bare work.

N counts rows of the matrix of logits: both views of N / 2 samples. Ours runs on each backend; the peers are
the dense loss in Keras, pytorch-metric-learning's, plain PyTorch as lightly writes it, and
sentence-transformers' cached loss where it is installed (one direction, so a quarter of the pairs). The
reference work is three bare products of N x N x D and two exponentials of N x N, tile by tile, in the
backend's own operations. Seconds are the processor's on one core, the least over repetitions; ours and the
reference take turns in one process, which gives `ratio`. Memory is the growth of the process's peak, each
contender in a process of its own. With `--device gpu` seconds are those of the clock and memory is the
accelerator's.

Dense losses that would not fit into the memory that is free are not run. TensorFlow compiles with XLA, as
`fit` does; `tensorflow-graph` is without.
"""

import argparse
import importlib.util
import math
import time
from pathlib import Path

from common import answer, in_process, interleaved, is_child, machine, peak_memory, table, write_results

TEMPERATURE, WARM_UP = 0.5, 256
REFERENCE_TILE = 512  # the fastest of 256, 512, 1024 and 2048 on all backends
GRAPH = "tensorflow-graph"
PEERS = {  # for each peer its backends, `None` for all, and bytes for N rows
    "dense Keras": (None, lambda n: 24 * n**2),
    "plain PyTorch": (["torch"], lambda n: 20 * n**2),
    "pytorch-metric-learning": (["torch"], lambda n: 6 * n**3),
    "sentence-transformers": (["torch"], lambda n: 0),
}


def embeddings(size: int, dim: int):
    import numpy as np

    return np.random.default_rng(0).normal(size=(size, dim)).astype("float32")


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

    model = torch.nn.Identity()
    loss = CachedMultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE, mini_batch_size=1024)
    return loss.calculate_loss([list(z[view::2].split(1024)) for view in (0, 1)])


def loss_of(name: str, tile_size: int | None):
    return {
        "ours": ours(tile_size),
        "dense Keras": dense_keras,
        "plain PyTorch": plain_torch,
        "pytorch-metric-learning": metric_learning,
        "sentence-transformers": sentence_transformers,
    }[name]


# How a backend computes value and gradient, and its bare work; both as functions without arguments.


def stepper(loss, size: int, dim: int, graph: bool):
    """A function that computes value and gradient and waits for them; it returns both as NumPy arrays."""
    import keras

    z = embeddings(size, dim)
    match keras.backend.backend():
        case "torch":
            import torch

            z = keras.ops.convert_to_tensor(z).requires_grad_()

            def step():
                value = loss(z)
                (gradient,) = torch.autograd.grad(value, z)
                return float(value.detach()), gradient.cpu().numpy()

        case "jax":
            import jax

            z = jax.numpy.asarray(z)
            compiled = jax.jit(jax.value_and_grad(loss))

            def step():
                value, gradient = jax.block_until_ready(compiled(z))
                return float(value), gradient

        case "tensorflow":
            import tensorflow as tf

            z = tf.constant(z)

            def value_and_gradient(z):
                with tf.GradientTape() as tape:
                    tape.watch(z)
                    value = loss(z)
                return value, tape.gradient(value, z)

            compiled = tf.function(value_and_gradient, autograph=False, jit_compile=not graph)

            def step():
                value, gradient = compiled(z)
                return float(value), gradient.numpy()

    return step


def reference(size: int, dim: int, tile: int, graph: bool):
    """Three products of all rows with all rows and two exponentials of the logits, in two passes."""
    import keras
    import numpy as np

    number = max(1, size // tile)
    z = embeddings(size, dim)
    z = z / np.linalg.norm(z, axis=1, keepdims=True) / math.sqrt(TEMPERATURE)
    z = z[: number * (size // number)].reshape(number, -1, dim)
    match keras.backend.backend():
        case "torch":
            import torch

            z = keras.ops.convert_to_tensor(z)

            def step():
                total = torch.zeros_like(z)
                with torch.no_grad():
                    for i in range(number):
                        for j in range(number):
                            last = torch.exp(z[i] @ z[j].T)
                    for i in range(number):
                        for j in range(number):
                            total[i] += torch.exp(z[i] @ z[j].T) @ z[j]
                return float(last[0, 0]), float(total[0, 0, 0])

        case "jax":
            import jax
            import jax.numpy as jnp

            z = jnp.asarray(z)

            @jax.jit
            def passes(z):
                def exponentials(index):
                    tile = jnp.exp(z[index // number] @ z[index % number].T)
                    return jax.lax.optimization_barrier(tile)  # else only what is used would be computed

                def forward(total, index):
                    return total + exponentials(index)[0, 0], None

                def backward(total, index):
                    return total.at[index // number].add(exponentials(index) @ z[index % number]), None

                tiles = jnp.arange(number**2)
                first, _ = jax.lax.scan(forward, jnp.zeros(()), tiles)
                return first, jax.lax.scan(backward, jnp.zeros_like(z), tiles)[0]

            def step():
                return jax.block_until_ready(passes(z))

        case "tensorflow":
            import tensorflow as tf

            z = tf.constant(z)

            def exponentials(index):
                return tf.exp(tf.matmul(z[index // number], z[index % number], transpose_b=True))

            def loop(body, start):
                return tf.while_loop(
                    lambda index, _: index < number**2,
                    lambda index, total: (index + 1, body(total, index)),
                    (tf.constant(0), start),
                    parallel_iterations=1,
                )[1]

            def passes():
                def forward(total, index):
                    tile = exponentials(index)
                    # XLA would compute no more than what is used.
                    return total + (tile[0, 0] if graph else tf.reduce_sum(tile))

                def backward(total, index):
                    i, j = index // number, index % number
                    product = total[i] + tf.matmul(exponentials(index), z[j])
                    return tf.tensor_scatter_nd_update(total, [[i]], product[None])

                return loop(forward, tf.zeros(())), loop(backward, tf.zeros_like(z))

            compiled = tf.function(passes, autograph=False, jit_compile=not graph)

            def step():
                return [x.numpy() for x in compiled()]

    return step


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
        seconds = interleaved(steps, repetitions, clock)
        return {**seconds, "ratio": seconds["ours"] / seconds["reference"]}
    loss = loss_of(name, tile_size)
    stepper(loss, WARM_UP, dim, graph)()
    step = stepper(loss, size, dim, graph)
    before = used_memory(device)
    value, _ = step()
    grown = used_memory(device) - before
    seconds = interleaved({name: step}, repetitions, clock)[name]
    return {"seconds": seconds, "extra_mb": grown, "value": value}


def used_memory(device: str) -> float:
    """The peak so far in MB, of the process or of the accelerator."""
    import keras

    if device == "cpu":
        return peak_memory()
    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    import jax

    return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20


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
                row |= in_process(
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
        texts.append(f"{title}\n\n" + table(["N", *map(str, sizes)], body))
    return "\n\n".join(texts)


def plot(rows: list[dict]):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    lines: dict[str, list[dict]] = {}
    for row in rows:
        if "seconds" in row:
            lines.setdefault(f"{row['name']}, {row['backend']}", []).append(row)
    for axis, key, title in ((axes[0], "seconds", "seconds"), (axes[1], "extra_mb", "memory, MB")):
        for label, known in lines.items():
            values = [max(1e-4, row[key]) for row in known]
            axis.loglog([row["size"] for row in known], values, marker="o", label=label)
        axis.set(xlabel="N", title=title)
    axes[0].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    if is_child():
        answer(measure)
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
        parser.add_argument("--sizes", type=int, nargs="+", default=[2**k for k in range(10, 17)])
        parser.add_argument("--dim", type=int, default=128)
        parser.add_argument("--tile-size", type=int, help="of ours; its default if not given")
        parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
        backends = ["torch", "jax", "tensorflow", GRAPH]
        parser.add_argument("--backends", nargs="+", choices=backends, default=backends)
        parser.add_argument("--repetitions", type=int, default=3, help="1 beyond 16,384 rows")
        parser.add_argument("--limit", type=float, default=900, help="seconds for one measurement")
        parser.add_argument("--memory", type=float, help="GB that a peer may take; by default what is free")
        parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
        arguments = parser.parse_args()
        memory = arguments.memory * 2**30 if arguments.memory else free_memory()
        rows = run(arguments, memory)
        results = {"dim": arguments.dim, "device": arguments.device, "machine": machine(), "results": rows}
        write_results(arguments.output, "losses", results, summary(rows), plot(rows))
