import json
import math

import keras
import numpy as np
import pytest

from applications.claims import Arm, ArmResult, Check, Claim, failed_claims, reproduce
from applications.files import json_text

pytestmark = pytest.mark.once

ASKED_FOR = {"task", "paper", "corpus", "backend", "versions", "seeds", "seconds", "primary_metric", "arms"}
ASKED_FOR |= {"baselines", "curves", "checks"}


def constant_arm(name, values, curve=()):
    """An arm whose accuracy for seed i is `values[i]`."""
    return Arm(name, lambda seed, fast: ArmResult({"accuracy": values[seed], "error": 1.0}, {"loss": curve}))


def make_claim(**changes):
    arguments = {
        "task": "face_naming",
        "paper": "secla",
        "corpus": "points",
        "primary_metric": "accuracy",
        "arms": [constant_arm("plain", [0.5, 0.6, 0.7], [2.0, 1.0]), constant_arm("full", [0.8, 0.7, 0.9])],
        "baselines": lambda seeds, fast: {"chance": {"accuracy": np.float32(0.25)}},
        "checks": [
            Check("full above plain", lambda result: difference(result) > 0),
            Check("full above .99", lambda result: difference(result) > 0.99, kind="observation"),
        ],
    }
    return Claim(**{**arguments, **changes})


def difference(result):
    arms = result["arms"]
    return arms["full"]["accuracy"]["mean"] - arms["plain"]["accuracy"]["mean"]


def test_the_result_has_the_documented_form():
    result = reproduce(make_claim(), seeds=[0, 1, 2])
    assert set(result) == ASKED_FOR
    assert result["seeds"] == [0, 1, 2]
    assert result["backend"] == keras.config.backend()
    assert result["versions"][keras.config.backend()]
    assert result["seconds"] >= 0
    plain = result["arms"]["plain"]["accuracy"]
    assert plain["values"] == [0.5, 0.6, 0.7]
    assert plain["mean"] == pytest.approx(0.6)
    assert plain["std"] == pytest.approx(0.1)
    assert result["baselines"] == {"chance": {"accuracy": 0.25}}
    assert result["curves"]["plain"] == {"loss": [[2.0, 1.0]] * 3}
    assert result["checks"] == [
        {"kind": "claim", "text": "full above plain", "holds": True},
        {"kind": "observation", "text": "full above .99", "holds": False},
    ]
    assert json.loads(json_text([result])) == [result]


def test_one_seed_a_reference_and_a_fast_run_say_so():
    seen = []

    def run(seed, fast):
        seen.append((seed, fast))
        return ArmResult({"accuracy": 1.0})

    result = reproduce(make_claim(arms=[Arm("full", run)], checks=[], reference="full"), seeds=[7], fast=True)
    assert seen == [(7, True)]
    assert result["fast"] is True
    assert result["reference"] == "full"
    assert result["arms"]["full"]["accuracy"] == {"values": [1.0], "mean": 1.0, "std": 0.0}


def test_only_checks_of_kind_claim_fail_the_command():
    result = reproduce(make_claim(), seeds=[0])
    assert failed_claims([result]) == []
    broken = make_claim(checks=[Check("never", lambda result: False), Check("always", lambda result: True)])
    assert failed_claims([result, reproduce(broken, seeds=[0])]) == ["never"]
    assert failed_claims([reproduce(broken, seeds=[0], fast=True)]) == []


def test_a_result_that_is_not_finite_fails_its_check_and_stays_valid_json():
    arms = [constant_arm("plain", [0.5]), constant_arm("full", [math.nan])]
    result = reproduce(make_claim(arms=arms), seeds=[0])
    assert failed_claims([result]) == ["full above plain"]
    assert json.loads(json_text(result))["arms"]["full"]["accuracy"]["values"] == [None]


def test_every_training_starts_from_the_same_state():
    def run(seed, fast):
        return ArmResult({"accuracy": float(keras.random.uniform(()))})

    values = reproduce(make_claim(arms=[Arm("a", run), Arm("b", run)], checks=[]), seeds=[0, 1])["arms"]
    assert values["a"] == values["b"]
    assert values["a"]["accuracy"]["std"] > 0


def test_errors_of_an_arm_are_not_hidden():
    def run(seed, fast):
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        reproduce(make_claim(arms=[Arm("a", run)]), seeds=[0])


def test_arms_that_report_other_metrics_are_named():
    other = Arm("other", lambda seed, fast: ArmResult({"accuracy": 1.0}))
    with pytest.raises(ValueError, match="arm 'other', seed 0"):
        reproduce(make_claim(arms=[constant_arm("plain", [0.5]), other], checks=[]), seeds=[0])
    without = Arm("without", lambda seed, fast: ArmResult({"error": 1.0}))
    with pytest.raises(ValueError, match=r"arm 'without', seed 0 must hold 'accuracy', got \['error'\]"):
        reproduce(make_claim(arms=[without], checks=[]), seeds=[0])


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_that_make_no_sense_are_refused(seeds):
    with pytest.raises(ValueError, match="seeds must be"):
        reproduce(make_claim(), seeds=seeds)


def test_claims_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="arms must be"):
        make_claim(arms=[])
    with pytest.raises(ValueError, match="different names"):
        make_claim(arms=[constant_arm("a", [1]), constant_arm("a", [1])])
    with pytest.raises(ValueError, match="reference must be one of the arms"):
        make_claim(reference="fall")
    with pytest.raises(ValueError, match="kind must be 'claim' or 'observation', got 'hope'"):
        Check("text", lambda result: True, kind="hope")
