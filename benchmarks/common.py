"""What benchmarks share: a process for each measurement, interleaved timing, memory, and where results go.

A benchmark's script calls itself: `in_process(__file__, backend, request)` starts it again with `--child` and
the request as JSON on standard input; the child answers through `run`.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")
RESULTS = Path(__file__).parent / "results"
_CHILD, _MARK = "--child", "result: "


def run(measure: Callable[..., dict], main: Callable[[], None]) -> None:
    """Calls `main()`; a child instead reads the request and prints what `measure(**request)` returns."""
    if _CHILD in sys.argv[1:]:
        print(_MARK + json.dumps(measure(**json.load(sys.stdin))), flush=True)
    else:
        main()


def parser(
    description: str, repetitions: int = 3, limit: float = 900, backends: Sequence[str] = BACKENDS
) -> argparse.ArgumentParser:
    """The options of a benchmark on several backends: `--backends`, `--repetitions`, `--limit`, `--output`.

    Args:
        description: of the benchmark, shown as it is.
        repetitions: the default.
        limit: the default, in seconds for each process.
        backends: to choose from; all are the default.
    """
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--backends", nargs="+", choices=backends, default=list(backends))
    options.add_argument("--repetitions", type=int, default=repetitions, help="of which the least counts")
    options.add_argument("--limit", type=float, default=limit, help="seconds for each process")
    options.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    return options


def in_process(
    script: str,
    backend: str,
    request: dict,
    threads: int | None = 1,
    limit: float | None = None,
    **environment: str,
) -> dict:
    """What the script answers to a request in a process of its own.

    Args:
        script: the benchmark's `__file__`.
        backend: value of `KERAS_BACKEND` there.
        request: anything that JSON knows.
        threads: processor threads of the child; `None` leaves them to the framework.
        limit: seconds after which the child is ended.
        **environment: further variables of the child's environment.

    Returns:
        The answer, or `{"failed": reason}` if the child ended without one: out of memory or time, most often.
    """
    variables = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            variables.setdefault(name, str(threads))
        if threads == 1:
            flags = variables.get("XLA_FLAGS", "")
            variables["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    try:
        done = subprocess.run(
            [sys.executable, script, _CHILD],
            input=json.dumps(request),
            env=variables,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no result within {limit:.0f} s"}
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(_MARK):
            return json.loads(line.removeprefix(_MARK))
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return {"failed": last[:200]}


def median_seconds(function: Callable[[], object], repetitions: int, warm_up: int) -> float:
    """Median by the clock over calls after `warm_up` others, which compile and fill caches."""
    times = []
    for _ in range(warm_up + repetitions):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times[warm_up:])


def interleaved(
    functions: dict[str, Callable[[], object]], repetitions: int, clock=time.process_time, warm: bool = False
) -> dict:
    """The least seconds of each function, which take turns: what else the machine does meets all.

    Args:
        functions: each waits until its work is done.
        repetitions: rounds that count, at least 1.
        clock: the processor's time of this process by default; on an accelerator `time.perf_counter`.
        warm: whether all have run before; otherwise the first round, which compiles, does not count.
    """
    best = dict.fromkeys(functions, float("inf"))
    for repetition in range(warm, repetitions + 1):
        for name, function in functions.items():
            started = clock()
            function()
            if repetition:
                best[name] = min(best[name], clock() - started)
    return best


def peak_memory() -> float:
    """The most memory that this process has had so far, in MB; its growth is what a step needed."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def machine() -> dict:
    """Where the numbers come from."""
    import keras
    import numpy

    return {
        "processor": _processor(),
        "accelerators": _accelerators(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "numpy": numpy.__version__,
    }


def _accelerators() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    names = [program, "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(names, capture_output=True, text=True, check=False).stdout.split("\n")[:-1]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(columns: list[str], rows: list[list]) -> str:
    """A Markdown table; floats with three significant digits, large ones as whole numbers."""

    def cell(value) -> str:
        if isinstance(value, float):
            return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return "" if value is None else str(value)

    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def subplots(rows: int, columns: int, size: tuple[float, float], **options):
    """A matplotlib figure that needs no screen, and its axes; `size` in inches."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, layout="constrained", **options)


def doubling_axis(axis, sizes: Sequence[int]) -> None:
    """Sizes that double as the ticks of a logarithmic axis of a plot, in full; every other one if many."""
    known = sorted(set(sizes))
    known = known[:: 1 + (len(known) > 4)]
    axis.set_xticks(known, [f"{size:,}" for size in known], fontsize=8)
    axis.set_xticks([], minor=True)


def write_results(folder: Path, name: str, results: dict, text: str, figure=None) -> None:
    """Writes `NAME.json`, `NAME.md` and, of a matplotlib figure, `NAME.svg`; prints the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    if figure is not None:
        figure.savefig(folder / f"{name}.svg", bbox_inches="tight")
    print(text)
