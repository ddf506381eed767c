from typing import Any

import keras
from keras import ops

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class LogitBias(keras.Layer):
    r"""A learned number $\beta$ that is added to logits.

    The layer belongs to the model, as `contrast.layers.Temperature` does; a loss that the model's
    `compute_loss` builds takes it as its bias:

    ```python
    self.temperature = contrast.layers.Temperature(0.1)
    self.bias = contrast.layers.LogitBias(-10.0)
    ...
    contrast.losses.SigmoidContrastive(self.temperature, self.bias)(y, y_pred)
    ```

    Args:
        initial: the bias at the start.

    Call: `(logits)` returns logits + bias. The property `value` is the bias, a float32 scalar tensor.

    Reference: [Zhai et al., 2023](https://arxiv.org/abs/2303.15343), section 3.2: start -10.
    """

    def __init__(self, initial: float = -10.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = initial
        self.bias = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(initial),
            dtype="float32",
            autocast=False,
            name="bias",
        )
        self.built = True

    @property
    def value(self) -> Tensor:
        return ops.convert_to_tensor(self.bias)

    def call(self, logits: Tensor) -> Tensor:
        return logits + ops.cast(self.value, logits.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial}
