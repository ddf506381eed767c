from collections.abc import Callable
from typing import Any, Self

import keras
from keras import ops

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ScheduledTemperature(keras.Layer):
    r"""A temperature that follows a schedule of training steps.

    In training step $s$, counted from 0, the temperature is $\tau = \max(\tau_{min}, schedule(s))$. The step
    is a variable of the layer, saved with the model. As `contrast.layers.Temperature` the layer belongs to
    the model, whose `compute_loss` builds the loss from it and calls `update` once a training step:

    ```python
    self.temperature = contrast.layers.ScheduledTemperature(
        contrast.optimizers.WarmupCosine(0.5, total_steps=1000, end=0.05)
    )
    ...
    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        loss = contrast.losses.NTXent(self.temperature)(y, y_pred)
        if training:
            self.temperature.update()
        return contrast.losses.total_loss(self, loss=loss)
    ```

    Args:
        schedule: a serializable function of the step, such as `contrast.optimizers.WarmupCosine` or a
            `keras.optimizers.schedules` object.
        minimum: lower bound of the temperature, positive, so that a schedule that ends (or starts) at 0 does
            not divide by it.

    Call: `(similarity)` returns similarity / temperature. The property `value` is the temperature, a float32
        scalar tensor.

    Raises:
        TypeError: if the schedule is no function; a fixed temperature is given to the loss as a float.
        ValueError: if the minimum is not positive.

    Example:

    >>> temperature = contrast.layers.ScheduledTemperature(
    ...     contrast.optimizers.WarmupCosine(0.5, total_steps=2, end=0.1)
    ... )
    >>> for _ in range(3):
    ...     print(round(float(temperature.value), 3))
    ...     temperature.update()
    0.5
    0.3
    0.1

    Reference: [Kukleva et al., 2023](https://arxiv.org/abs/2303.13664): temperature schedules, there a cosine
        between 0.1 and 1.
    """

    def __init__(self, schedule: Callable[[Any], Any], minimum: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not callable(schedule):
            raise TypeError(
                f"schedule must be a function of the step, got {schedule!r}; give a fixed temperature to the "
                "loss as a float."
            )
        if not minimum > 0:
            raise ValueError(f"minimum must be positive, got {minimum}.")
        self.schedule, self.minimum = schedule, minimum
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="step"
        )
        self.built = True

    @property
    def value(self) -> Tensor:
        # A copy: PyTorch refuses a backward pass through a variable that `update` has assigned since.
        temperature = ops.cast(self.schedule(ops.copy(self.step)), "float32")
        return ops.stop_gradient(ops.maximum(temperature, self.minimum))

    def update(self) -> None:
        """Goes to the next step; call it once a training step, after the loss."""
        self.step.assign(ops.copy(self.step) + 1)

    def call(self, similarity: Tensor) -> Tensor:
        return similarity / ops.cast(self.value, similarity.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "minimum": self.minimum,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})
