"""Building and searching an `EmbeddingIndex` beside brute force in NumPy and plain usearch; prints JSON.

All of them use one core and take turns, and seconds are those of the processor, so that ratios hold even
where the machine is busy. The rows are normal deviates around centres, as features of a trained encoder lie
around their classes. Brute force is the whole matrix of cosines and a partial sort, chunk by chunk of 256
queries; recall is the share of its ten nearest that is found. With `--plot`, a picture is drawn as well.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from contrast.retrieval import EmbeddingIndex

K, CHUNK = 10, 256


def rows_around_centres(count: int, dim: int, generator: np.random.Generator) -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(100, dim))
    rows = centres[generator.integers(0, len(centres), count)] + generator.normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def brute_force(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    found = []
    for start in range(0, len(queries), CHUNK):
        cosines = queries[start : start + CHUNK] @ rows.T
        nearest = np.argpartition(cosines, -K, axis=1)[:, -K:]
        order = np.argsort(-np.take_along_axis(cosines, nearest, axis=1), axis=1)
        found.append(np.take_along_axis(nearest, order, axis=1))
    return np.concatenate(found)


def built_index(rows: np.ndarray, exact: bool) -> EmbeddingIndex:
    index = EmbeddingIndex(exact=exact)
    index.add(rows)
    index.search(rows[:1], K)  # builds the graph
    return index


def built_usearch(rows: np.ndarray):
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(rows)), rows, threads=1)
    return index


def timed(function):
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def measure(count: int, dim: int, queries: int, repetitions: int) -> dict:
    generator = np.random.default_rng(1)
    rows, asked = (rows_around_centres(size, dim, generator) for size in (count, queries))
    exact_build, exact = timed(lambda: built_index(rows, True))
    graph_build, graph = timed(lambda: built_index(rows, False))
    plain_build, plain = timed(lambda: built_usearch(rows))
    searches = {
        "brute_force": lambda: brute_force(rows, asked),
        "exact": lambda: exact.search(asked, K).keys,
        "graph": lambda: graph.search(asked, K).keys,
        "usearch": lambda: np.asarray(plain.search(asked, K, threads=1).keys).reshape(len(asked), K),
    }
    seconds, found = {name: [] for name in searches}, {}
    for _ in range(repetitions + 1):  # the first turn warms caches and does not count
        for name, search in searches.items():
            taken, found[name] = timed(search)
            seconds[name].append(taken)
    search = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    true = found["brute_force"]
    recall = {
        name: float(np.mean([np.isin(ours, theirs).mean() for ours, theirs in zip(keys, true, strict=True)]))
        for name, keys in found.items()
    }
    return {
        "rows": count,
        "build_seconds": {
            "exact": round(exact_build, 4),
            "graph": round(graph_build, 3),
            "usearch": round(plain_build, 3),
        },
        "queries_per_second": {name: round(queries / taken) for name, taken in search.items()},
        "recall_at_10": {name: round(value, 4) for name, value in recall.items()},
        "exact_over_brute_force_seconds": round(search["exact"] / search["brute_force"], 3),
        "graph_over_usearch_seconds": round(search["graph"] / search["usearch"], 3),
        "graph_over_usearch_build_seconds": round(graph_build / plain_build, 3),
    }


def plot(results: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = [result["rows"] for result in results]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    titles = {
        "build_seconds": "build, seconds",
        "queries_per_second": "search, queries per second",
        "recall_at_10": "recall@10",
    }
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for name in results[0][key]:
            axis.plot(sizes, [result[key][name] for result in results], marker="o", label=name)
        axis.set(xscale="log", xlabel="rows", title=title)
        axis.legend(fontsize=8)
    axes[0].set_yscale("log")
    axes[1].set_yscale("log")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write to")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # usearch starts as many threads as it finds cores
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with threadpool_limits(1):
        results = [
            measure(count, arguments.dim, arguments.queries, arguments.repetitions)
            for count in arguments.rows
        ]
    report = json.dumps({"dim": arguments.dim, "queries": arguments.queries, "sizes": results}, indent=2)
    print(report)
    if arguments.json:
        arguments.json.write_text(report + "\n", encoding="utf-8")
    if arguments.plot:
        plot(results, arguments.plot)
