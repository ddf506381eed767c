"""The trainings of an experiment on disk, so that it goes on after an interruption."""

import json
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
        self.path = path
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

    def __len__(self) -> int:
        return len(self._content["trainings"])

    def find(self, claim: Claim, arm: str, seed: int) -> tuple[ArmResult, float] | None:
        """The result of a training and the seconds it took, if it is there."""
        for row in self._content["trainings"]:
            if (row["corpus"], row["arm"], row["seed"]) == (claim.corpus, arm, seed):
                numbers = {name: _number(value) for name, value in row["metrics"].items()}
                curves = {name: [_number(x) for x in values] for name, values in row["curves"].items()}
                return ArmResult(numbers, curves), row["seconds"]
        return None

    def add(self, claim: Claim, arm: str, seed: int, result: ArmResult, seconds: float) -> None:
        """Keeps a training."""
        self._content["trainings"].append(
            {
                "corpus": claim.corpus,
                "arm": arm,
                "seed": seed,
                "seconds": round(seconds, 1),
                "metrics": dict(result.metrics),
                "curves": {name: list(values) for name, values in result.curves.items()},
            }
        )
        write_text(self.path, json_text(self._content))

    def remove(self) -> None:
        """Deletes the file: the experiment has come to its end."""
        self.path.unlink(missing_ok=True)


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
