import pytest

from applications.claims import reproduce
from applications.kept_trainings import KeptTrainings
from applications.seed_processes import train_seeds
from tests.applications.toy_experiment import claims

CLAIMS, SEEDS = "tests.applications.toy_experiment:claims", [0, 1, 2]


@pytest.mark.slow
def test_seeds_in_processes_of_their_own_with_a_failure_between(tmp_path, monkeypatch):
    failure, path = tmp_path / "failure", tmp_path / "results.json.part"
    monkeypatch.setenv("TOY_FAILURE", str(failure))
    failure.touch()
    with pytest.raises(RuntimeError, match="no more power"):
        train_seeds(CLAIMS, SEEDS, False, KeptTrainings(path, {"task": "toys"}), 2)
    assert [file.name for file in tmp_path.iterdir() if "seed" in file.name] == []
    kept = KeptTrainings(path, {"task": "toys"}, resume=True)
    assert {row["seed"] for row in kept.trainings} <= {0, 2} and len(kept) >= 2
    before = {row["seed"]: row["metrics"]["process"] for row in kept.trainings}

    failure.unlink()
    train_seeds(CLAIMS, SEEDS, False, kept, 2)
    result = reproduce(claims()[0], SEEDS, kept=kept)
    for arm in result["arms"].values():
        assert arm["accuracy"]["values"] == [0.0, 1.0, 2.0]
    processes = dict(zip(SEEDS, result["arms"]["one"]["process"]["values"], strict=True))
    assert all(processes[seed] == process for seed, process in before.items()), "not trained again"
