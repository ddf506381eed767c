import pytest

from applications.anomaly_detection import unicon_ha_claim
from applications.anomaly_detection.unicon_ha_claim import NT_XENT, UNICLR, claims

pytestmark = pytest.mark.once


def result(claim, values):
    return {"arms": {arm.name: {"auroc": {"mean": values.get(arm.name, 0.9)}} for arm in claim.arms}}


def test_digits_and_faces_check_the_claim():
    digit_claim, face_claim, surface_claim = claims()
    (gain,) = [check for check in digit_claim.checks if check.kind == "claim"]
    assert gain.holds(result(digit_claim, {UNICLR: 0.96, NT_XENT: 0.94}))
    assert not gain.holds(result(digit_claim, {UNICLR: 0.945, NT_XENT: 0.94}))
    (high,) = [check for check in face_claim.checks if check.kind == "claim"]
    assert high.holds(result(face_claim, {UNICLR: 0.99}))
    assert not high.holds(result(face_claim, {UNICLR: 0.98}))
    assert all(check.kind == "observation" for check in surface_claim.checks)


@pytest.mark.parametrize("number", [1, 2])
def test_an_arm_and_the_baselines_run(number):
    pytest.importorskip("skimage")
    claim = claims()[number]
    (arm,) = [arm for arm in claim.arms if arm.name == UNICLR]
    run = arm.run(seed=0, fast=True)
    baselines = claim.baselines(seeds=[0], fast=True)
    assert len(baselines) == 3
    for metrics in (run.metrics, *baselines.values()):
        assert set(metrics) == set(run.metrics)
        assert all(0 <= value <= 1 for value in metrics.values())
    assert run.curves["loss"]


def test_all_detectors_start_alike():
    """The arms differ by their loss alone: encoder, views and projection are the same."""
    few = {name: make(flip=False) for name, make in unicon_ha_claim.DETECTORS.items()}
    for model in few.values():
        model.build((None, 14, 14, 1))
        assert model.encoder.filters == (16, 32, 64)
        assert model.temperature == 0.5
    uniclr, nt_xent = few[UNICLR], few[NT_XENT]
    assert [stage.strength for stage in uniclr.stages] == [nt_xent.strength]
    assert uniclr.count_params() == nt_xent.count_params()
