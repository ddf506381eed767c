"""What the benchmark of the losses compares is the same loss, and its table says what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import loss_steps, losses

pytestmark = pytest.mark.once
ARGUMENTS = SimpleNamespace(
    sizes=[32, 64], backends=["torch"], dim=8, repetitions=1, tile_size=8, device="cpu", limit=1.0
)


@pytest.mark.parametrize("name", ["dense Keras", "plain PyTorch", "pytorch-metric-learning"])
def test_peers_compute_the_same(name):
    (ours, gradient), (theirs, their_gradient) = (
        losses.stepper(losses.loss_of(contender, 8), 32, 8, graph=False)() for contender in ("ours", name)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)
    np.testing.assert_allclose(gradient, their_gradient, atol=1e-4 * np.abs(their_gradient).max())


def test_reference_work():
    """The last exponential, and a sum over all columns, are what one product gives."""
    last, total = losses.reference(32, 8, 16, graph=False)()
    z = loss_steps.embeddings(32, 8)
    z = z / np.linalg.norm(z, axis=1, keepdims=True) / 0.5**0.5
    exponentials = np.exp(z @ z.T)
    assert last == pytest.approx(exponentials[16, 16], rel=1e-4)
    assert total == pytest.approx((exponentials @ z)[0, 0], rel=1e-3)


def test_measures_time_and_memory():
    request = {"size": 64, "dim": 8, "repetitions": 1, "graph": False, "tile_size": 16, "device": "cpu"}
    alone = losses.measure(**request, name="ours")
    assert alone["seconds"] > 0
    assert alone["extra_mb"] >= 0
    both = losses.measure(**request, name="ratio")
    assert both["ratio"] == pytest.approx(both["ours"] / both["reference"])


def test_memory_of_an_accelerator_is_asked_of_the_backend(monkeypatch):
    tensorflow = pytest.importorskip("tensorflow")
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    monkeypatch.setattr(
        tensorflow.config.experimental, "get_memory_info", lambda device: {"current": 0, "peak": 3 * 2**20}
    )
    assert loss_steps.used_memory("gpu") == 3


def test_rows_and_tables(monkeypatch):
    asked = []

    def answered(script, backend, request, **_):
        asked.append(request["name"])
        return {"ratio": 0.5} if request["name"] == "ratio" else {"seconds": 1.0, "extra_mb": 2.0}

    monkeypatch.setattr(losses.common, "in_process", answered)
    rows = losses.run(ARGUMENTS, memory=24.0 * 32**2)
    assert asked.count("ours") == asked.count("ratio") == 2
    assert asked.count("dense Keras") == 1, "it does not fit at 64 rows"
    text = losses.summary(rows)
    assert "| dense Keras, torch | 1 | does not fit |" in text
    assert "| torch | 0.5 | 0.5 |" in text
    assert len(losses.plot(rows).axes) == 2


def test_stated_products_are_counted():
    """Operations in matrix products, in units of one product of all rows with all columns."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from contrast.losses import (
        DecoupledContrastive,
        InfoNCE,
        NTXent,
        SigmoidContrastive,
        SoftTargetContrastive,
        SupervisedContrastive,
    )

    size, dim, tile = 128, 16, {"tile_size": 16}
    ids = torch.arange(size // 2) // 4
    cases = {
        "NTXent": (NTXent(**tile), None, 2),
        "NTXent, several positives": (NTXent(**tile), ids, 2),
        "NTXent, negatives of a queue": (NTXent(**tile), None, 2),
        "SupervisedContrastive": (SupervisedContrastive(**tile), ids, 2),
        "DecoupledContrastive": (DecoupledContrastive(**tile), None, 2),
        "InfoNCE": (InfoNCE(**tile), None, 1),
        "InfoNCE, symmetric": (InfoNCE(symmetric=True, **tile), None, 1),
        "InfoNCE, several positives": (InfoNCE(same_id="positive", **tile), ids, 1),
        "SoftTargetContrastive": (SoftTargetContrastive(**tile), None, 1),
        "SigmoidContrastive": (SigmoidContrastive(**tile), None, 1),
    }
    assert {*cases, "reference work"} == {*losses.PRODUCTS}
    for name, (loss, y_true, rows_of_sample) in cases.items():
        z = torch.randn(size // 2, 2, dim, requires_grad=True)
        rows = columns = rows_of_sample * size // 2
        negatives = None
        if "queue" in name:
            negatives = torch.randn(64, dim)
            columns += 64
        counter = FlopCounterMode(display=False)
        with counter:
            loss(y_true, z, negatives=negatives).backward()
        products = counter.get_total_flops() / (2 * rows * columns * dim)
        assert products == pytest.approx(losses.PRODUCTS[name], rel=0.07), name
    counter = FlopCounterMode(display=False)
    step = losses.reference(size, dim, 16, graph=False)
    with counter:
        step()
    assert counter.get_total_flops() == losses.PRODUCTS["reference work"] * 2 * size**2 * dim
