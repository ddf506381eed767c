from typing import Any

import keras
from keras import ops

from contrast.typing import Shape, Tensor


class DrawingLayer(keras.Layer):
    """What augmentations of sequences and graphs share: they draw per sample, and do nothing at inference.

    A derived class names its constructor's arguments in `arguments`, the shapes that it takes in `ranks` and
    `wanted`, and defines `draw`.

    Args:
        seed: int or `None`.
    """

    arguments: tuple[str, ...] = ()
    ranks: tuple[int, ...] = (3,)
    wanted = "an array"

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def draw(self, inputs: Tensor) -> Tensor:
        """The batch, changed at random, each sample by itself."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(inputs).")

    def at_inference(self, inputs: Tensor) -> Tensor:
        """The batch as it is with `training=False`."""
        return inputs

    def uniform(self, shape: Shape) -> Tensor:
        """Numbers from 0 to 1, float32."""
        return keras.random.uniform(shape, seed=self.generator, dtype="float32")

    def check(self, shape: Shape) -> None:
        """Raises a ValueError unless the layer can read this shape."""
        if len(shape) not in self.ranks or None in tuple(shape[1:]):
            raise ValueError(
                f"{type(self).__name__} needs {self.wanted}, all sizes known but the batch's, got shape "
                f"{tuple(shape)}."
            )

    def checked(self, inputs: Tensor) -> Tensor:
        """The inputs in the type in which the layer computes."""
        return ops.cast(inputs, self.compute_dtype)

    def call(self, inputs: Tensor, training: bool = True) -> Tensor:
        inputs = ops.convert_to_tensor(inputs)
        self.check(inputs.shape)
        inputs = self.checked(inputs)
        return self.draw(inputs) if training else self.at_inference(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in self.arguments},
            "seed": self.seed,
        }


def checked_rate(rate: float) -> float:
    """A probability."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be from 0 to 1, got {rate}.")
    return rate
