"""Nearest-neighbour scores per second, exact and by index, beside the bare matrix product; prints JSON.

One thread for all of them. The rows are normal deviates around centres, as features of a trained encoder lie
around their classes.
"""

import argparse
import json
import os
import time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import median_seconds
from contrast.retrieval import NearestNeighbors


def features(rows: int, dim: int, centres: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    chosen = centres[generator.integers(0, len(centres), rows)]
    return (chosen + generator.normal(size=(rows, dim))).astype("float32")


def measure(rows: int, dim: int, queries: int, repetitions: int) -> dict:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(10, dim))
    bank, asked = (features(count, dim, centres, generator) for count in (rows, queries))
    exact, index = (NearestNeighbors(bank, exact=exact) for exact in (True, False))
    started = time.perf_counter()
    index.search(asked[:2])
    built = time.perf_counter() - started
    product = median_seconds(lambda: asked @ bank.T, repetitions, warm_up=1)
    exact_seconds, index_seconds = (
        median_seconds(lambda n=n: n.search(asked), repetitions, warm_up=1) for n in (exact, index)
    )
    recall = np.mean(index.search(asked).ids == exact.search(asked).ids)
    return {
        "rows": rows,
        "dim": dim,
        "queries": queries,
        "product_queries_per_second": round(queries / product),
        "exact_queries_per_second": round(queries / exact_seconds),
        "index_queries_per_second": round(queries / index_seconds),
        "exact_to_product": round(product / exact_seconds, 3),
        "index_to_product": round(product / index_seconds, 3),
        "index_recall_at_1": round(float(recall), 4),
        "index_build_seconds": round(built, 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = vars(parser.parse_args())
    if hasattr(os, "sched_setaffinity"):  # usearch starts as many threads as it finds cores
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with threadpool_limits(1):
        sizes = arguments.pop("rows")
        print(json.dumps([measure(rows, **arguments) for rows in sizes], indent=2))
