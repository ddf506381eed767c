"""The virtual environment of the project: made once, renewed when what it depends on changes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = "keras-contrast.json"


def environment_folder() -> Path:
    return Path(os.environ.get("CONTRAST_VENV") or ROOT / ".venv").expanduser().resolve()


def executable(name: str) -> Path:
    """Path of a program of the environment."""
    if os.name == "nt":
        return environment_folder() / "Scripts" / f"{name}.exe"
    return environment_folder() / "bin" / name


def child_environment(**values: str) -> dict[str, str]:
    """Environment variables for our programs: quiet frameworks, no telemetry; what the user has set stays."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONUNBUFFERED": "1"}
    return {**quiet, **os.environ, **values}


def stamp_key() -> str:
    """Changes with everything that the installed environment depends on, not with settings of tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = [str(ROOT), sys.version_info[:2], project["build-system"], project["project"]]
    digest = hashlib.sha256(json.dumps([*installed, project["tool"]["hatch"]], sort_keys=True).encode())
    digest.update((ROOT / "constraints.txt").read_bytes())
    return digest.hexdigest()


def read_stamp(folder: Path) -> dict:
    """What is known to be installed: the key, and the extras; empty for an environment that is not ours."""
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_stamp(folder: Path, key: str, extras: set[str]) -> None:
    (folder / STAMP).write_text(json.dumps({"key": key, "extras": sorted(extras)}), encoding="utf-8")


def missing_extras(extras: set[str]) -> set[str]:
    """The extras to install so that `extras` are there; empty when nothing is to be done.

    Those installed before, from the same files, are among them: pip then sees the whole set at once.
    """
    stamp = read_stamp(environment_folder())
    installed = set(stamp.get("extras", ()))
    if stamp.get("key") != stamp_key() or not executable("python").exists():
        return {"all"} if "all" in extras | installed else extras | installed
    if "all" in installed or extras <= installed:
        return set()
    return {"all"} if "all" in extras else extras | installed


def set_up(extras: set[str]) -> None:
    """Creates the environment and installs the project with `extras`, unless that is done already."""
    wanted = missing_extras(extras)
    if not wanted:
        return
    folder = environment_folder()
    create_environment(folder)
    write_stamp(folder, "unfinished", set())
    names = ",".join(sorted(wanted))
    print(f"Installing keras-contrast[{names}] into {folder}: minutes, the first time ...", flush=True)
    started = time.monotonic()
    install(f"{ROOT}[{names}]", folder / "setup.log")
    write_stamp(folder, stamp_key(), wanted)
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def create_environment(folder: Path) -> None:
    """Makes `folder` a virtual environment of this Python, with pip; ours is redone if it is broken."""
    version = sys.version_info[:2]
    probe = [str(executable("python")), "-c", f"import pip, sys; assert sys.version_info[:2] == {version}"]
    exists = executable("python").exists()
    if exists and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return
    ours = folder == ROOT / ".venv" or (folder / STAMP).exists()
    if not ours and folder.exists() and any(folder.iterdir()):
        raise SystemExit(
            f"{folder} holds something else than an environment of Python {version[0]}.{version[1]} with pip:"
            " empty it, or set CONTRAST_VENV to another folder."
        )
    print(f"Creating the virtual environment {folder} ...", flush=True)
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit(
            f"{made.stdout}{made.stderr}\nPython could not create a virtual environment."
            " On Debian and Ubuntu: apt-get install python3-venv"
        )


def install(requirement: str, log_path: Path) -> None:
    """Runs pip with the constraints file; its latest line shows on a terminal, all of them in the log."""
    command = [str(executable("python")), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "-c", str(ROOT / "constraints.txt"), "-e", requirement]
    terminal = sys.stdout.isatty()
    with log_path.open("w", encoding="utf-8") as log:
        pip = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in pip.stdout:
            log.write(line)
            if terminal:
                width = shutil.get_terminal_size().columns - 3
                print(f"\r\033[K  {line.strip()[:width]}", end="", flush=True)
    if terminal:
        print("\r\033[K", end="")
    if pip.wait():
        print("\n".join(log_path.read_text(encoding="utf-8").splitlines()[-25:]))
        raise SystemExit(f"Installation failed; its log is {log_path}. The same command tries again.")
