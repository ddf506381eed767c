"""An experiment whose seeds are trained side by side, each in a process of its own."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from applications.claims import train_arms
from applications.kept_trainings import KeptTrainings
from applications.registry import load

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def train_seeds(claims: str, seeds: Sequence[int], fast: bool, kept: KeptTrainings, jobs: int) -> None:
    """Makes the trainings of all seeds, `jobs` seeds at a time.

    A training depends on its arm and seed alone, so that the results are those of one process, but for what
    several threads round otherwise. Each process keeps its trainings in a file of its own as they end; in the
    end, also that of an interruption, they are all in `kept`.

    Args:
        claims: path of the experiment in the registry.
        seeds, fast: as for `applications.claims.reproduce`.
        kept: takes the trainings; those that it has are not repeated.
        jobs: how many processes, at least 1. Each gets its share of the processors, unless the environment
            says how many threads there are.
    """
    if kept.resume:
        kept.collect(seeds)
    for seed in seeds:
        kept.lend(seed)
    context = multiprocessing.get_context("spawn")
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    try:
        with ProcessPoolExecutor(jobs, context, _set_threads, (share,)) as pool:
            tasks = [
                pool.submit(_train_seed, claims, seed, fast, kept.of_seed(seed), kept.request)
                for seed in seeds
            ]
            try:
                for task in as_completed(tasks):
                    task.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        kept.collect(seeds)


def _set_threads(share: str) -> None:
    for name in THREADS:
        os.environ.setdefault(name, share)
    if share == "1":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def _train_seed(claims: str, seed: int, fast: bool, path: Path, request: dict) -> None:
    from applications.environment import load_keras

    load_keras()
    kept = KeptTrainings(path, request, resume=True)
    for claim in load(claims)():
        train_arms(claim, [seed], fast, kept=kept)
