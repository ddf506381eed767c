"""What the benchmarks of applications share: the figures of three backends side by side."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable

from benchmarks.common import BACKENDS


def table(results: list[dict]) -> str:
    """The figures of several backends as Markdown."""
    rows: dict[str, list] = {}
    for result in results:
        for name, value in result["training"].items():
            rows.setdefault(name.replace("_", " "), []).append(value)
        for line in result["decoding"]:
            for name, value in line.items():
                if name != "length":
                    rows.setdefault(f"{name.replace('_', ' ')}, {line['length']} tokens", []).append(value)
    head = ["", *(result["backend"] for result in results)]
    lines = [head, ["---", *["---:"] * len(results)], *([name, *values] for name, values in rows.items())]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def run(script: str, measure: Callable[..., dict], parser: argparse.ArgumentParser) -> None:
    """Prints what `measure` finds on the backend of this process, or with `--table` on all three.

    Args:
        script: the benchmark's `__file__`.
        measure: called with the options.
        parser: of the options of `measure`.
    """
    parser.add_argument("--table", action="store_true", help="measure all three backends")
    options = vars(parser.parse_args())
    if options.pop("table"):
        given = [argument for argument in sys.argv[1:] if argument != "--table"]
        print(table([of_backend(script, backend, given) for backend in BACKENDS]))
    else:
        print(json.dumps(measure(**options), indent=2))


def of_backend(script: str, backend: str, arguments: list[str]) -> dict:
    """What a script prints for a backend, in a process of its own."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)
