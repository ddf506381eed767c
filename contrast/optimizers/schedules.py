import math
from typing import Any

import keras
from keras import ops

from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    r"""A value that rises linearly and then follows half a cosine, as a function of the step.

    $$v(s) = \begin{cases}
    v_{start} + (v_{peak} - v_{start}) \, s / w & s < w \\
    v_{end} + \frac{1}{2} (v_{peak} - v_{end}) \left(1 + \cos \pi \frac{s - w}{S - w}\right) & w \le s < S \\
    v_{end} & S \le s
    \end{cases}$$

    As a learning rate, give it to an optimiser. As a momentum it rises, with `end` above `peak`:
    `WarmupCosine(0.996, total_steps, end=1.0)` for a `contrast.layers.MomentumEncoder`. As a temperature call
    it with a step of your own: `InfoNCE(schedule(step))` in `compute_loss`.

    Args:
        peak: the value at the end of the warm-up.
        total_steps: $S$, the step from which the value is `end`.
        warmup_steps: $w$, length of the warm-up.
        start: the value at step 0, if there is a warm-up.
        end: the value in the end.

    Call: an int or a scalar tensor; returns a float32 scalar tensor.

    Raises:
        ValueError: unless 0 <= warmup_steps < total_steps.

    Example:

    >>> schedule = contrast.optimizers.WarmupCosine(1.0, total_steps=20, warmup_steps=10)
    >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 15, 20)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Reference: [Loshchilov and Hutter, 2017](https://arxiv.org/abs/1608.03983)
    """

    def __init__(
        self, peak: float, total_steps: int, warmup_steps: int = 0, start: float = 0.0, end: float = 0.0
    ) -> None:
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "WarmupCosine needs 0 <= warmup_steps < total_steps, got "
                f"warmup_steps={warmup_steps} and total_steps={total_steps}."
            )
        self.peak, self.total_steps, self.warmup_steps = peak, total_steps, warmup_steps
        self.start, self.end = start, end

    def __call__(self, step: int | Tensor) -> Tensor:
        step = ops.cast(step, "float32")
        rising = self.start + (self.peak - self.start) * step / max(1, self.warmup_steps)
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        cosine = ops.cos(math.pi * ops.clip(done, 0.0, 1.0))
        falling = self.end + 0.5 * (self.peak - self.end) * (1.0 + cosine)
        return ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "start": self.start,
            "end": self.end,
        }
