"""Set up, demonstrate, check and test the project; needs nothing but Python 3.11 or later.

    python3 scripts/dev.py setup [EXTRA ...]       environment with these extras (default: all)
    python3 scripts/dev.py demo [-- ARGUMENTS]     train face naming and open its page in the browser
    python3 scripts/dev.py test [--backend B] [--skip-slow] [--skip-lint] [--jobs N] [-- PYTEST ARGUMENTS]
    python3 scripts/dev.py lint                    style, format, layers and types
    python3 scripts/dev.py docs [--serve]          the documentation site, into build/site; a warning fails it
    python3 scripts/dev.py clean [--venv]          remove what builds and tests leave; run folders stay

The environment is `.venv`, or the folder that CONTRAST_VENV names. Set-up is skipped when nothing changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys

OLDEST_PYTHON = (3, 11)
BACKENDS = ("tensorflow", "jax", "torch")
DEMO_EXTRAS = {"demo", "corpora"}
DOCS_EXTRAS = {"docs"}
CODE = ("contrast", "applications", "demos", "tests", "benchmarks", "scripts")
CACHES = (".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".test-logs")


def main(argv: list[str]) -> int:
    arguments, passed_on = split_arguments(argv)
    options = parser().parse_args(arguments)
    if passed_on and options.command not in ("demo", "test"):
        parser().error(f"{options.command} takes no arguments after `--`")
    if options.command == "clean":
        return clean(options.venv)
    from dev_environment import set_up

    if options.command == "demo":
        set_up(DEMO_EXTRAS)
        return demo(passed_on)
    if options.command == "docs":
        set_up(DOCS_EXTRAS)
        return docs(options.serve)
    set_up(set(options.extras) if options.command == "setup" and options.extras else {"all"})
    if options.command == "setup":
        return 0
    from dev_tests import lint, test

    if options.command == "lint":
        return 0 if lint() else 1
    backends = options.backend or list(BACKENDS)
    return test(backends, not options.skip_slow, not options.skip_lint, options.jobs, passed_on)


def split_arguments(argv: list[str]) -> tuple[list[str], list[str]]:
    """Splits the command line at the first `--`: ours, and what is passed on."""
    if "--" not in argv:
        return argv, []
    position = argv.index("--")
    return argv[:position], argv[position + 1 :]


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="dev.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("setup").add_argument("extras", nargs="*", metavar="EXTRA")
    commands.add_parser("demo")
    tests = commands.add_parser("test")
    tests.add_argument("--backend", action="append", choices=BACKENDS, help="default: all three")
    tests.add_argument("--skip-slow", action="store_true", help="leave out browsers, notebooks and processes")
    tests.add_argument("--skip-lint", action="store_true")
    tests.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="runs side by side")
    commands.add_parser("lint")
    site = commands.add_parser("docs")
    site.add_argument(
        "--serve", action="store_true", help="show it on 127.0.0.1:8000 and renew it on changes"
    )
    commands.add_parser("clean").add_argument("--venv", action="store_true", help="the environment, too")
    return root


def demo(arguments: list[str]) -> int:
    from dev_environment import ROOT, child_environment, executable

    command = [str(executable("contrast")), "demo", "face_naming", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=child_environment())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the demo got it as well, and closes its server


def docs(serve: bool) -> int:
    """Builds the site, or serves it until Ctrl-C."""
    from dev_environment import ROOT, child_environment, executable

    command = [str(executable("python")), "-m", "mkdocs", *(["serve"] if serve else ["build", "--strict"])]
    environment = child_environment(NO_MKDOCS_2_WARNING="1")
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def clean(with_environment: bool) -> int:
    from dev_environment import ROOT, environment_folder

    for name in ("build", "dist", *CACHES):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    for package in CODE:
        for cache in (ROOT / package).rglob("__pycache__"):
            shutil.rmtree(cache, ignore_errors=True)
    folder = environment_folder()
    if with_environment and (folder / "pyvenv.cfg").exists():
        shutil.rmtree(folder)
    return 0


def with_recent_python() -> None:
    """Starts again with a newer Python of this machine if this one is too old."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    for name in ("python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            os.execv(path, [path, *sys.argv])
    found = ".".join(map(str, sys.version_info[:2]))
    raise SystemExit(f"keras-contrast needs Python 3.11 or later; this is Python {found} ({sys.executable}).")


if __name__ == "__main__":
    with_recent_python()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
