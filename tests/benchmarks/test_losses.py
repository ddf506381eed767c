"""What the benchmark of the losses compares is the same loss, and its table says what is missing."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.once
FOLDER = Path(__file__).parents[2] / "benchmarks"
ARGUMENTS = SimpleNamespace(
    sizes=[32, 64], backends=["torch"], dim=8, repetitions=1, tile_size=8, device="cpu", limit=1.0
)


@pytest.fixture
def losses(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("losses_benchmark", FOLDER / "losses.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["dense Keras", "plain PyTorch", "pytorch-metric-learning"])
def test_peers_compute_the_same(losses, name):
    (ours, gradient), (theirs, their_gradient) = (
        losses.stepper(losses.loss_of(contender, 8), 32, 8, graph=False)() for contender in ("ours", name)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)
    np.testing.assert_allclose(gradient, their_gradient, atol=1e-4 * np.abs(their_gradient).max())


def test_reference_work(losses):
    """The last exponential, and a sum over all columns, are what one product gives."""
    last, total = losses.reference(32, 8, 16, graph=False)()
    z = losses.embeddings(32, 8)
    z = z / np.linalg.norm(z, axis=1, keepdims=True) / 0.5**0.5
    exponentials = np.exp(z @ z.T)
    assert last == pytest.approx(exponentials[16, 16], rel=1e-4)
    assert total == pytest.approx((exponentials @ z)[0, 0], rel=1e-3)


def test_measures_time_and_memory(losses):
    request = {"size": 64, "dim": 8, "repetitions": 1, "graph": False, "tile_size": 16, "device": "cpu"}
    alone = losses.measure(**request, name="ours")
    assert alone["seconds"] > 0
    assert alone["extra_mb"] >= 0
    both = losses.measure(**request, name="ratio")
    assert both["ratio"] == pytest.approx(both["ours"] / both["reference"])


def test_rows_and_tables(losses, monkeypatch):
    asked = []

    def answered(script, backend, request, **_):
        asked.append(request["name"])
        return {"ratio": 0.5} if request["name"] == "ratio" else {"seconds": 1.0, "extra_mb": 2.0}

    monkeypatch.setattr(losses, "in_process", answered)
    rows = losses.run(ARGUMENTS, memory=24.0 * 32**2)
    assert asked.count("ours") == asked.count("ratio") == 2
    assert asked.count("dense Keras") == 1, "it does not fit at 64 rows"
    text = losses.summary(rows)
    assert "| dense Keras, torch | 1 | does not fit |" in text
    assert "| torch | 0.5 | 0.5 |" in text
    assert len(losses.plot(rows).axes) == 2
