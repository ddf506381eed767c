"""The walk of a newcomer and the wheel, before a release, with the time of each step.

    python scripts/release_check.py [STEP ...] [--folder DIR] [--keep]

Steps, in this order; all of them if none is named:

    clone      a fresh clone of HEAD
    wheel      python -m build: source archive, wheel from it; the wheel from the tree holds the same
    base       the wheel alone in a new environment: imports, command line, two steps of SimCLR on TensorFlow
    train      one epoch of `contrast train face_naming` there, with the extra `corpora`
    extras     each extra after the other there: all modules that it is for are found
    setup      python3 scripts/dev.py setup, in the clone
    demo       make demo, until its page answers
    demos      every page of `contrast demo`, until it answers
    notebook   one notebook, in its fast setting
    test       make test

Works in a new folder of the system's temporary one and needs the packages of the extra `dev`. What a step
needs from earlier ones must have run before, in the same call or in the same --folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = 7990
PATIENCE = 3600  # seconds within which a page must answer: it trains first, and the first time installs

TRAINING = """
import sys
import keras, numpy as np, contrast
assert "site-packages" in contrast.__file__, contrast.__file__
model = contrast.models.SimCLR(
    contrast.encoders.ConvNet((4, 8)), contrast.augmentation.simclr_augmentation(16), projector=(8, 4))
model.compile("adam")
images = np.random.rand(16, 16, 16, 3).astype("float32")
model(images)
before = [weight.copy() for weight in model.encoder.get_weights()]
history = model.fit(images, batch_size=8, verbose=0).history
assert keras.config.backend() == "tensorflow" and np.isfinite(history["loss"]).all(), history
assert any((old != new).any() for old, new in zip(before, model.encoder.get_weights()))
assert not {"jax", "torch", "gradio", "mlxtend"} & set(sys.modules)
"""

IMPORTS = """
import importlib, pkgutil
for top in ("contrast", "applications"):
    for module in pkgutil.walk_packages(importlib.import_module(top).__path__, top + "."):
        if not module.name.split(".")[-1].startswith(("jax_", "torch_")):
            importlib.import_module(module.name)
"""

MISSING = """
import importlib.util, sys
print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])
"""

DEMOS = """
from applications.registry import APPLICATIONS
print(*dict.fromkeys(row.task for row in APPLICATIONS if row.demo and row.state == "ready"))
"""


class Walk:
    """The steps, in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.clone_folder, self.dist, self.venv = folder / "clone", folder / "dist", folder / "venv"
        # nothing of this checkout or of the user's settings reaches the steps
        hidden = ("PYTHONPATH", "KERAS_BACKEND", "KERAS_HOME", "CONTRAST_VENV", "VIRTUAL_ENV")
        self.environment = {name: value for name, value in os.environ.items() if name not in hidden}
        self.environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_HOME": str(folder / "keras")}
        self.environment |= {"CONTRAST_CACHE": str(folder / "cache")}

    def run(self, *command: str | Path, cwd: Path | None = None, **variables: str) -> str:
        """Standard output of a command; its whole output is shown if it fails."""
        print("$", " ".join(" ".join(map(str, command)).split())[:200], flush=True)
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd or self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{done.stdout}{done.stderr}\nThe step failed with status {done.returncode}.")
        return done.stdout

    def clone(self) -> None:
        self.run("git", "clone", "-q", ROOT, self.clone_folder)

    def wheel(self) -> None:
        self.run(sys.executable, "-m", "build", "--outdir", self.dist, self.clone_folder)
        direct = self.folder / "direct"
        self.run(sys.executable, "-m", "build", "--wheel", "--outdir", direct, self.clone_folder)
        both = [contents(self.wheel_in(folder)) for folder in (self.dist, direct)]
        if both[0] != both[1]:
            names = both[0].keys() | both[1].keys()
            differing = sorted(name for name in names if both[0].get(name) != both[1].get(name))
            raise SystemExit(f"Wheels of the source archive and of the tree differ: {', '.join(differing)}.")

    def wheel_in(self, folder: Path) -> Path:
        (path,) = folder.glob("keras_contrast-*.whl")
        return path

    def install(self, extra: str | None = None) -> None:
        wheel = self.wheel_in(self.dist)
        constraints = ("-c", self.clone_folder / "constraints.txt")
        requirement = f"{wheel}[{extra}]" if extra else str(wheel)
        self.run(self.tool("python"), "-m", "pip", "install", "-q", *constraints, requirement)

    def tool(self, name: str) -> Path:
        return self.venv / ("Scripts" if os.name == "nt" else "bin") / name

    def base(self) -> None:
        self.run(sys.executable, "-m", "venv", "--clear", self.venv)
        self.install()
        version = tomllib.loads((self.clone_folder / "pyproject.toml").read_text(encoding="utf-8"))
        wanted = f"keras-contrast {version['project']['version']}\n"
        if self.run(self.tool("contrast"), "--version") != wanted:
            raise SystemExit(f"contrast --version must print {wanted}")
        if "face_naming" not in self.run(self.tool("contrast"), "list"):
            raise SystemExit("contrast list must name face_naming")
        self.run(self.tool("python"), "-c", IMPORTS)
        self.run(self.tool("python"), "-c", TRAINING)

    def train(self) -> None:
        self.install("corpora")
        output = self.folder / "run"
        self.run(self.tool("contrast"), "train", "face_naming", "--epochs", "1", "--output", output)
        for name in ("model.keras", "history.csv", "finished.json"):
            if not (output / name).exists():
                raise SystemExit(f"{output} holds no {name}")

    def extras(self) -> None:
        modules = modules_by_extra()
        for extra, names in modules.items():
            self.install(extra)
            missing = self.run(self.tool("python"), "-c", MISSING, *names).split()
            if missing:
                raise SystemExit(f"The extra {extra} must bring {', '.join(missing)}.")

    def setup(self) -> None:
        self.run("python3", "scripts/dev.py", "setup", cwd=self.clone_folder)

    def demo(self) -> None:
        self.answers("make", "demo")

    def demos(self) -> None:
        contrast = self.clone_folder / ".venv" / "bin" / "contrast"
        for task in self.run(contrast.with_name("python"), "-c", DEMOS, cwd=self.clone_folder).split():
            started = time.monotonic()
            self.answers(contrast, "demo", task, "--port", str(PORT), "--no-browser")
            print(f"  {task}: {time.monotonic() - started:.0f} s", flush=True)

    def answers(self, *command: str | Path) -> None:
        """Starts a demo, waits for the address that it prints, reads the page, and ends it as Ctrl+C does."""
        print("$", *command, flush=True)
        log = (self.folder / "demo.log").open("w+", encoding="utf-8")
        environment = self.environment | {"PYTHONUNBUFFERED": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=self.clone_folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address, started = None, time.monotonic()
            while address is None:
                text = (self.folder / "demo.log").read_text(encoding="utf-8")
                address = next((word for word in text.split() if word.startswith("http://127.0.0.1:")), None)
                if process.poll() is not None or time.monotonic() - started > PATIENCE:
                    raise SystemExit(f"{text}\nThe page did not come.")
                time.sleep(0.5)
            with urllib.request.urlopen(address, timeout=60) as page:
                if page.status != 200:
                    raise SystemExit(f"{address} answered {page.status}.")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(timeout=60)
            log.close()

    def notebook(self) -> None:
        python = self.clone_folder / ".venv" / "bin" / "python"
        program = (
            "import nbformat, nbclient; book = nbformat.read('notebooks/face_naming.ipynb', 4);"
            "nbclient.NotebookClient(book, timeout=3600, resources={'metadata': {'path': '.'}}).execute()"
        )
        self.run(python, "-c", program, cwd=self.clone_folder, CONTRAST_FAST="1")

    def test(self) -> None:
        print(self.run("make", "test", cwd=self.clone_folder)[-2000:])


STEPS = ("clone", "wheel", "base", "train", "extras", "setup", "demo", "demos", "notebook", "test")


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel; the table of its checksums follows from them."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def modules_by_extra() -> dict[str, list[str]]:
    """The modules that `applications.environment` expects of each extra."""
    path = ROOT / "applications" / "environment.py"
    specification = importlib.util.spec_from_file_location("environment", path)
    environment = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(environment)
    by_extra: dict[str, list[str]] = {}
    for module, extra in environment.EXTRAS.items():
        by_extra.setdefault(extra, []).append(module)
    return by_extra


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--folder", type=Path, help="where to work; one that is new if not given")
    parser.add_argument("--keep", action="store_true", help="leave a new folder there")
    options = parser.parse_args(arguments)
    unknown = [step for step in options.steps if step not in STEPS]
    if unknown:
        parser.error(f"STEP must be one of {', '.join(STEPS)}, got {', '.join(unknown)}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="contrast-release-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Working in {folder}.", flush=True)
    # Begun in the background of a shell this would ignore Ctrl+C, and so would the demos, which end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    walk, times = Walk(folder.resolve()), []
    try:
        for step in [step for step in STEPS if step in (options.steps or STEPS)]:
            print(f"\n== {step}", flush=True)
            started = time.monotonic()
            getattr(walk, step)()
            times.append((step, time.monotonic() - started))
    finally:
        print("\n| step | seconds |\n| --- | --- |")
        for step, seconds in times:
            print(f"| {step} | {seconds:.0f} |")
        if options.folder is None and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
