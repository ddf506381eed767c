from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.typing import Tensor

BIAS_AND_NORM = ("bias", "gamma", "beta")


@keras.saving.register_keras_serializable(package="contrast")
class LARS(keras.optimizers.Optimizer):
    r"""Gradient descent with momentum whose rate is scaled for each weight by the ratio of two norms.

    For a weight $w$ with gradient $g$, learning rate $\gamma$, weight decay $\beta$, momentum $m$ and trust
    coefficient $\eta$,
    $$d = g + \beta w, \qquad v \leftarrow m \, v + \gamma \, \eta \frac{\|w\|}{\|d\|} \, d, \qquad
    w \leftarrow w - v.$$

    Where a norm is 0, $v \leftarrow m \, v + \gamma \, d$. Use it for large batches, from some thousands on.

    Args:
        learning_rate: float, or a schedule such as `contrast.optimizers.WarmupCosine`.
        momentum: in [0, 1).
        weight_decay: $\beta$, part of the gradient; not Keras's decoupled decay. What
            `exclude_from_weight_decay` names has none.
        trust_coefficient: $\eta$, positive.
        exclude_bias_and_norm: leave vectors, scalars and weights named bias, gamma or beta as they are in
            plain momentum: neither decay nor ratio.
        name, **kwargs: as for `keras.optimizers.Optimizer`.

    Raises:
        ValueError: if an argument lies outside its range.

    Example:

    >>> schedule = contrast.optimizers.WarmupCosine(4.8, total_steps=1000, warmup_steps=100)
    >>> optimizer = contrast.optimizers.LARS(schedule, weight_decay=1e-6)

    References: [You et al., 2017](https://arxiv.org/abs/1708.03888), with the ratio's denominator, the norm
        of gradient and decay together, of SimCLR, [Chen et al., 2020](https://arxiv.org/abs/2002.05709).
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        exclude_bias_and_norm: bool = True,
        name: str = "lars",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {momentum}.")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay must not be negative, got {weight_decay}.")
        if not trust_coefficient > 0:
            raise ValueError(f"trust_coefficient must be positive, got {trust_coefficient}.")
        self.momentum, self.trust_coefficient = momentum, trust_coefficient
        self.gradient_decay = weight_decay  # Keras applies what is called weight_decay by itself, decoupled
        self.exclude_bias_and_norm = exclude_bias_and_norm

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        self._plain = tuple(self.exclude_bias_and_norm and _is_bias_or_norm(v) for v in variables)

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: float | Tensor) -> None:
        index = self._get_variable_index(variable)
        velocity = self._velocities[index]
        weight = ops.convert_to_tensor(variable)
        step = ops.cast(gradient, weight.dtype)
        rate = ops.cast(learning_rate, "float32")
        if not self._plain[index]:
            if self._use_weight_decay(variable):
                step = step + self.gradient_decay * weight
            rate = rate * self._trust(weight, step)
        self.assign(velocity, self.momentum * velocity + ops.cast(rate, weight.dtype) * step)
        self.assign_sub(variable, velocity)

    def _trust(self, weight, step):
        weight_norm, step_norm = _norm(weight), _norm(step)
        defined = ops.logical_and(weight_norm > 0, step_norm > 0)
        ratio = weight_norm / ops.where(defined, step_norm, 1.0)
        return ops.where(defined, self.trust_coefficient * ratio, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "weight_decay": self.gradient_decay,
            "trust_coefficient": self.trust_coefficient,
            "exclude_bias_and_norm": self.exclude_bias_and_norm,
        }


def _is_bias_or_norm(variable):
    return len(variable.shape) < 2 or variable.name in BIAS_AND_NORM


def _norm(x):
    """The Euclidean norm of all entries, in float32."""
    return ops.sqrt(ops.sum(ops.square(ops.cast(x, "float32"))))
