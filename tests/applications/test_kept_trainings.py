import json
import math

import pytest

from applications.claims import Arm, ArmResult, Claim, reproduce
from applications.kept_trainings import KeptTrainings

pytestmark = pytest.mark.once

REQUEST = {"task": "toys", "paper": "toy", "fast": False, "backend": "torch", "versions": {"keras": "3"}}


class PowerCutError(Exception):
    """In place of one."""


def toy_claim(log, until=99):
    def run(number):
        def train(seed, fast):
            if len(log) == until:
                raise PowerCutError
            log.append((number, seed))
            return ArmResult({"accuracy": 10.0 * number + seed, "rank": math.nan}, {"loss": [1.0, number]})

        return train

    arms = [Arm("one", run(1)), Arm("two", run(2))]
    return Claim(task="toys", paper="toy", corpus="dots", primary_metric="accuracy", arms=arms)


def test_an_interrupted_experiment_comes_to_the_result_of_an_unbroken_one(tmp_path):
    path, log = tmp_path / "results.json.part", []
    whole = reproduce(toy_claim([]), seeds=[0, 1])
    with pytest.raises(PowerCutError):
        reproduce(toy_claim(log, until=3), seeds=[0, 1], kept=KeptTrainings(path, REQUEST))
    kept = KeptTrainings(path, REQUEST, resume=True)
    assert len(kept) == 3
    result = reproduce(toy_claim(log), seeds=[0, 1], kept=kept)
    assert log == [(1, 0), (2, 0), (1, 1), (2, 1)], "no training is made twice"
    assert math.isnan(result["arms"]["one"]["rank"]["values"][0])
    for part in ("curves", "seeds", "checks"):
        assert result[part] == whole[part]
    assert {name: arm["accuracy"] for name, arm in result["arms"].items()} == {
        name: arm["accuracy"] for name, arm in whole["arms"].items()
    }
    kept.remove()
    assert not path.exists()


def test_the_time_of_both_parts_is_counted(tmp_path):
    path = tmp_path / "part"
    path.write_text(
        json.dumps(
            {
                "request": REQUEST,
                "trainings": [
                    {
                        "corpus": "dots",
                        "arm": "one",
                        "seed": 0,
                        "seconds": 1000.0,
                        "metrics": {"accuracy": 1.0, "rank": 1.0},
                        "curves": {},
                    }
                ],
            }
        )
    )
    result = reproduce(toy_claim([]), seeds=[0], kept=KeptTrainings(path, REQUEST, resume=True))
    assert 1000 <= result["seconds"] < 1100
    assert result["arms"]["one"]["accuracy"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("content", "changes", "resume", "message"),
    [
        ({"request": REQUEST, "trainings": []}, {}, False, "go on with --resume, or delete it"),
        (
            {"request": REQUEST, "trainings": []},
            {"backend": "jax"},
            True,
            "begun with backend torch.*now jax",
        ),
        ({"request": REQUEST, "trainings": []}, {"fast": True}, True, "begun with fast False"),
        (None, {}, True, "nothing to resume"),
        ({"trainings": 3}, {}, True, "does not hold the trainings"),
        ("cut of", {}, True, "does not hold the trainings"),
    ],
)
def test_files_that_do_not_fit(tmp_path, content, changes, resume, message):
    path = tmp_path / "part"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=message):
        KeptTrainings(path, {**REQUEST, **changes}, resume)
