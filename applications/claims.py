"""Experiments that check a paper's claim: arms side by side over seeds, trivial baselines and a verdict."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from applications.kept_trainings import KeptTrainings

CLAIM, OBSERVATION = "claim", "observation"


@dataclass(frozen=True)
class ArmResult:
    """What one arm gave for one seed.

    Args:
        metrics: value of each metric; the same metrics for every arm and seed of a claim.
        curves: values over training, such as the loss per epoch; may be empty.
    """

    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One variant of the method: `run(seed=..., fast=...)` trains it and measures it.

    The result may depend on the arguments alone. With `fast` it takes seconds, and proves nothing but that
    it runs.
    """

    name: str
    run: Callable[..., ArmResult]


@dataclass(frozen=True)
class Check:
    """A statement about the result.

    Args:
        text: the statement, for a reader.
        holds: takes the result of `reproduce` and says whether the statement is true of it.
        kind: `"claim"`, the paper's own direction, whose failure fails the command; or `"observation"`,
            which is printed only.
    """

    text: str
    holds: Callable[[dict], bool]
    kind: str = CLAIM

    def __post_init__(self):
        if self.kind not in (CLAIM, OBSERVATION):
            raise ValueError(f"kind must be {CLAIM!r} or {OBSERVATION!r}, got {self.kind!r}")


@dataclass(frozen=True)
class Claim:
    """An experiment: a paper's variants on one corpus.

    Args:
        task: task folder, such as `"face_naming"`.
        paper: short name of the paper.
        corpus: what the arms are trained on.
        primary_metric: the metric that the paper speaks of; every arm reports it.
        arms: the variants, in the order of the table.
        checks: what the result should show.
        reference: name of the arm that the others are compared with, seed by seed.
        baselines: `baselines(seeds=..., fast=...)` gives, by name, the metrics of trivial answers: chance,
            majority, raw pixels.
    """

    task: str
    paper: str
    corpus: str
    primary_metric: str
    arms: Sequence[Arm]
    checks: Sequence[Check] = ()
    reference: str | None = None
    baselines: Callable[..., Mapping[str, Mapping[str, float]]] | None = None

    def __post_init__(self):
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"arms must be at least one and have different names, got {names}")
        if self.reference is not None and self.reference not in names:
            raise ValueError(f"reference must be one of the arms {names}, got {self.reference!r}")


def reproduce(
    claim: Claim,
    seeds: Sequence[int] = (0, 1, 2),
    fast: bool = False,
    kept: "KeptTrainings | None" = None,
) -> dict:
    """Trains every arm with every seed and judges the claim; a progress bar runs on standard error.

    Each training starts from a cleared Keras session and with all global generators seeded, so that the
    order of the arms does not matter.

    Args:
        claim: the experiment.
        seeds: different integers, at least one.
        fast: the small version of every arm.
        kept: where trainings are kept as they end; those that are there already are not repeated.

    Returns:
        A dict with `task`, `paper`, `corpus`, `backend`, `versions`, `seeds`, `seconds`, `primary_metric`,
        `arms` (`{name: {metric: {"values", "mean", "std"}}}`, a value per seed, `std` with `ddof=1` and 0 for
        one seed), `baselines` (`{name: {metric: value}}`), `curves` (`{name: {curve: one list per seed}}`)
        and `checks` (`[{"kind", "text", "holds"}]`); further `reference` if the claim names one, and `fast`
        if it was.

    Raises:
        ValueError: if seeds repeat or are missing, or an arm's metrics are not those of the first arm.
    """
    import keras

    from applications.environment import versions

    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be at least one and all different, got {list(seeds)}")
    started = time.monotonic()
    runs, spent = train_arms(claim, seeds, fast, kept)
    baselines = claim.baselines(seeds=seeds, fast=fast) if claim.baselines else {}
    backend = keras.config.backend()
    result = {
        "task": claim.task,
        "paper": claim.paper,
        "corpus": claim.corpus,
        "backend": backend,
        "versions": versions(backend),
        "seeds": list(seeds),
        "seconds": 0.0,
        "primary_metric": claim.primary_metric,
        "arms": {name: _summary([run.metrics for run in results]) for name, results in runs.items()},
        "baselines": {
            name: {metric: float(value) for metric, value in metrics.items()}
            for name, metrics in baselines.items()
        },
        "curves": {name: _curves(results) for name, results in runs.items()},
    }
    if claim.reference is not None:
        result["reference"] = claim.reference
    if fast:
        result["fast"] = True
    result["checks"] = [
        {"kind": check.kind, "text": check.text, "holds": bool(check.holds(result))} for check in claim.checks
    ]
    result["seconds"] = round(spent + time.monotonic() - started, 1)
    return result


def train_arms(
    claim: Claim, seeds: Sequence[int], fast: bool, kept: "KeptTrainings | None" = None
) -> tuple[dict[str, list[ArmResult]], float]:
    """The trainings of `reproduce`: results by arm, one a seed, and the seconds that kept ones once took."""
    import keras
    from tqdm import tqdm

    from contrast.backend import untraced

    runs: dict[str, list[ArmResult]] = {arm.name: [] for arm in claim.arms}
    spent = 0.0
    with tqdm(total=len(claim.arms) * len(seeds), desc=f"{claim.paper} on {claim.corpus}", unit="run") as bar:
        for seed in seeds:
            for arm in claim.arms:
                bar.set_postfix_str(f"{arm.name}, seed {seed}")
                found = None if kept is None else kept.find(claim, arm.name, seed)
                if found:
                    result, seconds = found
                    spent += seconds
                else:
                    began = time.monotonic()
                    keras.utils.clear_session()
                    keras.utils.set_random_seed(seed)
                    with untraced() if fast else nullcontext():
                        result = arm.run(seed=seed, fast=fast)
                    if kept is not None:
                        kept.add(claim, arm.name, seed, result, time.monotonic() - began)
                _check_metrics(claim, arm, seed, result, runs)
                runs[arm.name].append(result)
                bar.update()
    return runs, spent


def failed_claims(results: Sequence[Mapping]) -> list[str]:
    """The texts of the checks of kind `claim` that do not hold; the command fails if there is one.

    Those of fast runs, which prove nothing, are not among them.
    """
    return [
        check["text"]
        for result in results
        if not result.get("fast")
        for check in result["checks"]
        if check["kind"] == CLAIM and not check["holds"]
    ]


def _check_metrics(claim: Claim, arm: Arm, seed: int, result: ArmResult, runs: Mapping) -> None:
    expected = next((results[0].metrics for results in runs.values() if results), result.metrics)
    where = f"arm {arm.name!r}, seed {seed}"
    if claim.primary_metric not in result.metrics:
        given = list(result.metrics)
        raise ValueError(f"metrics of {where} must hold {claim.primary_metric!r}, got {given}")
    if set(result.metrics) != set(expected):
        raise ValueError(f"metrics of {where} must be {list(expected)}, got {list(result.metrics)}")


def _summary(metrics: Sequence[Mapping[str, float]]) -> dict[str, dict]:
    """Values over seeds, their mean and standard deviation, for each metric."""
    import numpy as np

    summary = {}
    for name in metrics[0]:
        values = np.array([row[name] for row in metrics], dtype="float64")
        spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        summary[name] = {"values": values.tolist(), "mean": float(values.mean()), "std": spread}
    return summary


def _curves(results: Sequence[ArmResult]) -> dict[str, list[list[float]]]:
    names = dict.fromkeys(name for result in results for name in result.curves)
    return {name: [[float(x) for x in result.curves.get(name, ())] for result in results] for name in names}
