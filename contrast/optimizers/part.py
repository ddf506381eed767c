import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

SHOWN = 8  # paths that an error lists
REFUSED = {
    "use_ema": "averages of the weights",
    "loss_scale_factor": "a loss scale, of which the model's training step would not know",
}


@dataclass(frozen=True, eq=False)
class Part:
    """Some variables of a model and the optimiser that moves them; see `PartitionedOptimizer`.

    Args:
        variables: which variables: a pattern of their paths; a layer or model; a variable; or a list of
            these. A pattern is a regular expression that covers whole components of the path, so that
            `"encoder"` matches `model/encoder/dense/kernel` but not `text_encoder/dense/kernel`, and
            `"encoder/.*/bias"` the biases below it.
        optimizer: a Keras optimiser or its name. It belongs to this part alone.
        every: the part moves at steps `every`, 2 `every`, ...; at the others its gradient is dropped, and
            neither its variables nor its optimiser's state change.
        name: of the part, in errors and in `PartitionedOptimizer.optimizer_of`; by default the pattern, or
            the layer's name.

    Raises:
        ValueError: if `every` is no positive int, nothing is selected, or the optimiser is one that a part
            cannot have.
        TypeError: if `variables` or `optimizer` is of another type.
    """

    variables: Any
    optimizer: Any
    every: int = 1
    name: str | None = None

    def __post_init__(self) -> None:
        selectors = _selectors(self.variables)
        if not selectors:
            raise ValueError(f"variables must select something, got {self.variables!r}.")
        if self.name is None:
            first = selectors[0]
            object.__setattr__(self, "name", first if isinstance(first, str) else first.name)
        for selector in selectors:
            if isinstance(selector, str):
                _check_pattern(selector)
            elif not isinstance(selector, keras.Layer | keras.Variable):
                raise TypeError(
                    "variables must be patterns of paths, layers or variables, "
                    f"got {type(selector).__name__} in part {self.name!r}."
                )
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"every must be an int of at least 1, got {self.every!r} in part {self.name!r}.")
        optimizer = keras.optimizers.get(self.optimizer)
        check_optimizer(optimizer, self.name)
        if self.every > 1 and optimizer.gradient_accumulation_steps:
            raise ValueError(
                f"part {self.name!r} has both every={self.every} and an optimizer with "
                f"gradient_accumulation_steps={optimizer.gradient_accumulation_steps}: the first drops "
                "gradients, the second adds them up; choose one."
            )
        object.__setattr__(self, "optimizer", optimizer)

    def matches(self, variable: keras.Variable) -> bool:
        """Whether the part selects this variable."""
        return any(
            _matches(s, variable) if isinstance(s, str) else any(variable is v for v in _variables(s))
            for s in _selectors(self.variables)
        )

    def patterns(self) -> list[str]:
        """The selection as patterns of paths, objects resolved."""
        patterns = []
        for selector in _selectors(self.variables):
            if isinstance(selector, str):
                patterns.append(selector)
                continue
            variables = _variables(selector)
            if not variables:
                raise ValueError(
                    f"part {self.name!r}: layer {selector.name!r} has no variables yet, so that it cannot be "
                    "saved by their paths; build the model first."
                )
            kept = [v for v in variables if v.trainable] or variables
            patterns.extend(re.escape(v.path) for v in kept)
        return patterns


def nothing_selected(part: Part, variables: Sequence[keras.Variable]) -> str:
    """Why a part selects none of the trainable variables of the model, in words."""
    selectors = _selectors(part.variables)
    if not any(isinstance(selector, str) for selector in selectors):
        own = [v for selector in selectors for v in _variables(selector)]
        if not own:
            return f"part {part.name!r} has no variables: its layers are not built, or have no weights."
        if not any(v.trainable for v in own):
            return (
                f"all {len(own)} variables of part {part.name!r} are frozen (trainable=False), so that its "
                "optimizer would do nothing; leave it out, or unfreeze it before the optimizer is built."
            )
        return (
            f"part {part.name!r} selects {listed([v.path for v in own])}, which the model does not train; "
            f"its trainable variables are {listed([v.path for v in variables])}."
        )
    return (
        f"part {part.name!r} selects no trainable variable: {', '.join(map(repr, part.patterns()))} against "
        f"{listed([v.path for v in variables])}. Frozen variables (trainable=False) are not among them: if "
        "all of the part are frozen, leave it out or unfreeze it before the optimizer is built. A pattern "
        "covers whole components of a path."
    )


def check_optimizer(optimizer: Any, name: str) -> None:
    """Raises unless a part can have this optimiser."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(f"optimizer must be a Keras optimizer, got {type(optimizer).__name__} in {name!r}.")
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            f"part {name!r} has a LossScaleOptimizer, but the loss is scaled once for the whole model: give "
            "the part the inner optimizer, and wrap the PartitionedOptimizer instead."
        )
    if optimizer.built:
        raise ValueError(f"the optimizer of part {name!r} is built for other variables; give a new one.")
    for argument, what in REFUSED.items():
        if getattr(optimizer, argument):
            raise ValueError(f"{argument} must be off in the optimizer of part {name!r}: it has {what}.")


def listed(paths: Sequence[str]) -> str:
    """Some paths for an error message."""
    more = len(paths) - SHOWN
    return ", ".join(map(repr, paths[:SHOWN])) + (f" and {more} more" if more > 0 else "")


def _selectors(variables):
    return list(variables) if isinstance(variables, list | tuple) else [variables]


def _variables(selector):
    return [selector] if isinstance(selector, keras.Variable) else list(selector.weights)


def _matches(pattern, variable):
    return re.search(f"(?:^|/)(?:{pattern})(?:/|$)", variable.path) is not None


def _check_pattern(pattern):
    if not pattern:
        raise ValueError("a pattern of variables must not be empty.")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}.") from error
