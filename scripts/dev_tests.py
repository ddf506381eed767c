"""Checks and tests: one pytest run a backend, the slow tests once, and a summary of all.

What does not depend on the backend runs on the last one only, PyTorch unless others were asked for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree

from dev_environment import ROOT, child_environment, executable

LOGS = ROOT / ".test-logs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_TESTS_COLLECTED = 5
CHECKS = ("ruff check .", "ruff format --check .", "lint-imports --cache-dir .import_linter_cache", "mypy")


def lint() -> bool:
    """Style, format, layers and types; True if all hold."""
    held = True
    for line in CHECKS:
        print(f"$ {line}", flush=True)
        name, *arguments = line.split()
        held &= subprocess.run([str(executable(name)), *arguments], cwd=ROOT, check=False).returncode == 0
    return held


def find_browser() -> str | None:
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def provide_browser() -> None:
    """Installs Chromium where that needs no question; otherwise says what will be left out."""
    if find_browser():
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("Installing chromium for the browser tests ...", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for line in ("apt-get update -q", "apt-get install -y -q chromium"):
            subprocess.run(
                line.split(), env=environment, capture_output=True, stdin=subprocess.DEVNULL, check=False
            )
    if not find_browser():
        print("Note: no chromium or google-chrome on this machine; the browser tests will be skipped.")


class Run:
    """One pytest process: a backend without the slow tests, or the slow tests alone."""

    def __init__(self, name: str, backend: str, tier: str, arguments: list[str], threads: int):
        self.name, self.backend, self.threads = name, backend, str(threads)
        self.log_path, self.report_path = LOGS / f"{name}.log", LOGS / f"{name}.xml"
        self.command = [str(executable("python")), "-m", "pytest", "-q", "--durations=10", "-m", tier]
        self.command += [
            "-o",
            f"cache_dir=.pytest_cache/{name}",
            f"--junitxml={self.report_path}",
            *arguments,
        ]
        self.seconds, self.status = 0.0, None

    def start(self, to_terminal: bool) -> None:
        self.report_path.unlink(missing_ok=True)
        environment = child_environment(
            KERAS_BACKEND=self.backend,
            KERAS_HOME=str(LOGS / "keras"),  # the user's own Keras settings change no test
            MPLBACKEND="Agg",
            OMP_NUM_THREADS=self.threads,
            TF_NUM_INTRAOP_THREADS=self.threads,
            TF_NUM_INTEROP_THREADS=self.threads,
            # tests compile more than they compute
            JAX_DISABLE_MOST_OPTIMIZATIONS="1",
            # what JAX has compiled once is read back by the next run
            JAX_COMPILATION_CACHE_DIR=str(LOGS / "jax"),
            JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
            JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
        )
        self.started = time.monotonic()
        with self.log_path.open("w", encoding="utf-8") as log:
            output = None if to_terminal else log
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def finished(self) -> bool:
        self.status = self.process.poll()
        self.seconds = time.monotonic() - self.started
        return self.status is not None

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def progress(self) -> str:
        percentages = re.findall(r"\[ *(\d+)%\]", self.log())
        return f"{self.name} {percentages[-1] if percentages else 0} %"

    def counts(self) -> tuple[int, int, int]:
        """Tests passed, failed and skipped, from pytest's own report."""
        try:
            suite = ElementTree.parse(self.report_path).getroot().find("testsuite").attrib
        except (OSError, ElementTree.ParseError, AttributeError):
            return 0, 0, 0
        tests, failed, skipped = int(suite["tests"]), int(suite["failures"]), int(suite["skipped"])
        failed += int(suite["errors"])
        return tests - failed - skipped, failed, skipped


def run_side_by_side(runs: list[Run], jobs: int) -> None:
    """Runs all, `jobs` at a time; the output of each is printed in one piece when it ends."""
    waiting, running, last_word = list(runs), [], time.monotonic()
    to_terminal = len(runs) == 1
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(waiting.pop(0))
                running[-1].start(to_terminal)
                print(f"Started the {running[-1].name} tests.", flush=True)
            time.sleep(0.2)
            for run in [run for run in running if run.finished()]:
                running.remove(run)
                if not to_terminal:
                    print(f"\n===== {run.name} =====\n{run.log()}", flush=True)
            if running and not to_terminal and time.monotonic() - last_word > 30:
                last_word = time.monotonic()
                print("  ... " + ", ".join(run.progress() for run in running), flush=True)
    finally:
        for run in running:
            run.process.terminate()


def test(backends: list[str], with_slow: bool, with_lint: bool, jobs: int, arguments: list[str]) -> int:
    """Runs everything asked for and prints the summary; returns the exit status."""
    started = time.monotonic()
    if with_slow:
        provide_browser()
    LOGS.mkdir(exist_ok=True)
    rows = []
    if with_lint:
        rows.append(("lint", lint(), time.monotonic() - started, ""))
    jobs = max(1, jobs)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    tiers = ["not slow and not once"] * (len(backends) - 1) + ["not slow"]
    runs = [
        Run(backend, backend, tier, arguments, threads) for backend, tier in zip(backends, tiers, strict=True)
    ]
    if with_slow:
        # second to last to start: the last backend shares the machine with it
        runs.insert(len(runs) - 1, Run("slow", backends[0], "slow", arguments, threads))
    run_side_by_side(runs, jobs)
    counts = {run.name: run.counts() for run in runs}
    passed, failed, skipped = (sum(column) for column in zip(*counts.values(), strict=True))
    for run in runs:
        # a selection of tests may leave some runs empty, but not all
        empty = run.status == NO_TESTS_COLLECTED and bool(arguments) and passed > 0
        detail = "{} passed, {} failed, {} skipped".format(*counts[run.name])
        rows.append((run.name, run.status == 0 or empty, run.seconds, detail))
    print("\n===== summary =====")
    for name, good, seconds, detail in rows:
        print(f"{name:<12}{'passed' if good else 'FAILED':<8}{seconds:>6.0f} s   {detail}")
    print(f"everything took {time.monotonic() - started:.0f} s")
    print(f"total: {passed} passed, {failed} failed, {skipped} skipped")
    return 0 if all(good for _, good, _, _ in rows) else 1
