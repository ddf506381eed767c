import math
from typing import Any

import keras
from keras import ops

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class Temperature(keras.Layer):
    r"""A learned temperature $\tau = e^{-w}$, kept between two bounds.

    After each step of an optimiser w itself is clipped, as in CLIP's code, so that the temperature leaves a
    bound as soon as the gradient says so.

    The layer belongs to the model; a loss that the model's `compute_loss` builds takes it as its temperature:

    ```python
    self.temperature = contrast.layers.Temperature()
    ...
    contrast.losses.InfoNCE(self.temperature)(y, y_pred)
    ```

    Args:
        initial: the temperature at the start.
        minimum, maximum: bounds of the temperature; the gradient passes through them, so that it can come
            back.

    Call: `(similarity)` returns similarity / temperature. The property `value` is the temperature, a scalar
        tensor.

    Raises:
        ValueError: unless 0 < minimum <= initial <= maximum.

    Reference: [Radford et al., 2021](https://arxiv.org/abs/2103.00020), section 2.5: start 0.07, minimum
        0.01.
    """

    def __init__(
        self, initial: float = 0.07, minimum: float = 0.01, maximum: float = 10.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < minimum <= initial <= maximum:
            raise ValueError(
                f"Temperature needs 0 < minimum <= initial <= maximum, got {minimum}, {initial}, {maximum}."
            )
        self.initial, self.minimum, self.maximum = initial, minimum, maximum
        self.log_inverse = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(-math.log(initial)),
            dtype="float32",
            autocast=False,
            constraint=_Between(-math.log(maximum), -math.log(minimum)),
            name="log_inverse",
        )
        self.built = True

    @property
    def value(self) -> Tensor:
        low, high = -math.log(self.maximum), -math.log(self.minimum)
        weight = ops.convert_to_tensor(self.log_inverse)
        # The value is clipped; the gradient passes, so that a weight outside the bounds can come back.
        clipped = weight + ops.stop_gradient(ops.clip(weight, low, high) - weight)
        return ops.exp(-clipped)

    def call(self, similarity: Tensor) -> Tensor:
        return similarity / ops.cast(self.value, similarity.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial": self.initial,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


class _Between(keras.constraints.Constraint):
    """Clips a weight to two bounds."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __call__(self, weight):
        return ops.clip(weight, self.low, self.high)
