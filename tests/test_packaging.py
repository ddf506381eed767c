import importlib.metadata
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import keras
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import contrast
from applications.environment import BACKENDS, EXTRAS

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTION = "keras-contrast"


def pins():
    """Version by canonical name in the constraints file."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): str(requirement.specifier) for requirement in requirements}


def requirements_of(name, extras):
    """The requirements of an installed distribution that hold here, with these extras."""
    found = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
    environments = [{"extra": extra} for extra in (*extras, "")]
    return [r for r in found if r.marker is None or any(map(r.marker.evaluate, environments))]


def closure(name, extras, seen=None):
    """Canonical names of all that `name[extras]` needs here and that is installed."""
    seen = {} if seen is None else seen
    for requirement in requirements_of(name, extras):
        key = canonicalize_name(requirement.name)
        wanted = seen.get(key, set()) | requirement.extras
        if key in seen and wanted == seen[key]:
            continue
        seen[key] = wanted
        closure(requirement.name, wanted, seen)
    return seen


def test_importing_contrast_loads_nothing_that_keras_did_not():
    program = (
        "import sys, keras; before = {name.partition('.')[0] for name in sys.modules};"
        "import contrast; print(*{name.partition('.')[0] for name in sys.modules} - before)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    added = set(output.split())
    assert "contrast" in added
    others = {"tensorflow", "jax", "jaxlib", "torch"} - {keras.config.backend()}
    unwanted = {"gradio", "matplotlib", "keras_hub", "pandas", "applications", "demos", *others}
    assert not added & unwanted


def test_the_version_is_the_same_everywhere():
    assert PROJECT["version"] == contrast.__version__ == importlib.metadata.version(DISTRIBUTION)
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_console_script_is_installed():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="contrast")
    assert script.value == "applications.cli:main"
    assert callable(script.load())


def test_the_license_is_apache():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert importlib.metadata.metadata(DISTRIBUTION)["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_every_extra_installs_what_it_says(extra):
    missing = [name for name in closure(DISTRIBUTION, {extra}) if not installed(name)]
    if extra in ("faces", "notebooks", "dev", "all") and missing:
        pytest.skip(f"not installed: {missing}")
    assert missing == []


def installed(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def test_installed_versions_satisfy_the_project():
    for requirement in requirements_of(DISTRIBUTION, set(PROJECT["optional-dependencies"])):
        version = installed(requirement.name)
        assert version is None or requirement.specifier.contains(version, prereleases=True), requirement


def test_the_constraints_pin_everything_that_is_needed():
    pinned = pins()
    needed = closure(DISTRIBUTION, {"all"}).keys() - {DISTRIBUTION}
    # PyTorch's wheels for NVIDIA devices pin these themselves
    needed = {name for name in needed if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert needed - pinned.keys() == set()
    assert all(specifier.startswith("==") for specifier in pinned.values())
    assert pinned["torch"] == "==2.13.0"


def test_what_is_pinned_runs_on_the_oldest_python():
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for name, specifier in pins().items():
        if installed(name) and SpecifierSet(specifier).contains(installed(name)):
            needed = importlib.metadata.metadata(name).get("Requires-Python") or ""
            assert SpecifierSet(needed).contains(oldest), f"{name} {installed(name)} needs Python {needed}"


def provides(distribution, module):
    files = importlib.metadata.files(distribution) or ()
    return any(file.parts[0].partition(".")[0] == module for file in files)


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_messages_about_missing_packages_name_the_right_extra(module, extra):
    names = [Requirement(line).name for line in PROJECT["optional-dependencies"][extra]]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    assert any(provides(name, module) for name in names if installed(name))


def test_every_backend_but_the_default_has_an_extra():
    assert {name for name in BACKENDS if EXTRAS.get(name) != name} == {"tensorflow"}
    assert "tensorflow" in {Requirement(line).name for line in PROJECT["dependencies"]}


def test_the_models_of_the_faces_extra_are_found():
    pytest.importorskip("dlib")
    folder = Path(importlib.util.find_spec("face_recognition_models").origin).parent / "models"
    assert (folder / "dlib_face_recognition_resnet_model_v1.dat").stat().st_size > 0
    assert (folder / "shape_predictor_5_face_landmarks.dat").stat().st_size > 0
