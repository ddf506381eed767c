"""The trainings of an experiment on disk, so that it goes on after an interruption."""

import json
from collections.abc import Sequence
from pathlib import Path

from applications.claims import ArmResult, Claim
from applications.files import json_text, write_text


class KeptTrainings:
    """What each arm gave for each seed, in a file that is whole after every training.

    A training depends on its arm and seed alone, so that those in the file need not be repeated.

    Args:
        path: the file.
        request: what else a result depends on, as JSON knows it: task, paper, backend, versions, `fast`.
        resume: go on with the file, which must have been begun with the same request.

    Raises:
        ValueError: if the file exists and `resume` is not set; or with `resume`, if it does not exist, is no
            such file, or was begun with another request.
    """

    def __init__(self, path: Path, request: dict, resume: bool = False):
        self.path, self.resume = path, resume
        self._content = {"request": request, "trainings": []}
        if not resume:
            if path.exists():
                raise ValueError(
                    f"{path} holds the trainings of an interrupted experiment: go on with --resume, or "
                    "delete it to start again."
                )
            return
        content = _read(path)
        for name, value in request.items():
            begun = content["request"].get(name)
            if begun != value:
                raise ValueError(f"{path} was begun with {name} {begun}, which is now {value}.")
        self._content = content

    @property
    def request(self) -> dict:
        """What was asked for."""
        return self._content["request"]

    @property
    def trainings(self) -> list[dict]:
        """What is kept, in the order in which it ended."""
        return self._content["trainings"]

    def __len__(self) -> int:
        return len(self.trainings)

    def find(self, claim: Claim, arm: str, seed: int) -> tuple[ArmResult, float] | None:
        """The result of a training and the seconds it took, if it is there."""
        for row in self.trainings:
            if (row["corpus"], row["arm"], row["seed"]) == (claim.corpus, arm, seed):
                numbers = {name: _number(value) for name, value in row["metrics"].items()}
                curves = {name: [_number(x) for x in values] for name, values in row["curves"].items()}
                return ArmResult(numbers, curves), row["seconds"]
        return None

    def add(self, claim: Claim, arm: str, seed: int, result: ArmResult, seconds: float) -> None:
        """Keeps a training."""
        self.trainings.append(
            {
                "corpus": claim.corpus,
                "arm": arm,
                "seed": seed,
                "seconds": round(seconds, 1),
                "metrics": dict(result.metrics),
                "curves": {name: list(values) for name, values in result.curves.items()},
            }
        )
        self._write()

    def of_seed(self, seed: int) -> Path:
        """The file of a process that makes the trainings of this seed."""
        return self.path.with_name(f"{self.path.name}.seed{seed}")

    def lend(self, seed: int) -> None:
        """Writes what there is of a seed into the file for its process."""
        self._write()
        mine = [row for row in self.trainings if row["seed"] == seed]
        write_text(self.of_seed(seed), json_text({"request": self.request, "trainings": mine}))

    def collect(self, seeds: Sequence[int]) -> None:
        """Takes over what the processes of seeds have kept, and deletes their files."""
        for seed in seeds:
            path = self.of_seed(seed)
            if path.exists():
                others = [row for row in self.trainings if row["seed"] != seed]
                theirs = KeptTrainings(path, self.request, resume=True).trainings
                self._content["trainings"] = others + theirs
                self._write()
                path.unlink()

    def remove(self) -> None:
        """Deletes the file: the experiment has come to its end."""
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_text(self.path, json_text(self._content))


def _read(path: Path) -> dict:
    if not path.exists():
        raise ValueError(f"there is nothing to resume: {path} does not exist.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["request"], dict) or not isinstance(content["trainings"], list):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold the trainings of an experiment; delete it.") from error
    return content


def _number(value: float | None) -> float:
    """JSON has no NaN."""
    return float("nan") if value is None else float(value)
