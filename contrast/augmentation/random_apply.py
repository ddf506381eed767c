from typing import Any, Self

import keras
from keras import ops

from contrast.augmentation.images import check_is_array
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class RandomApply(keras.Layer):
    """Applies a layer to some rows of the batch, each drawn by itself.

    The layer runs on the whole batch; a row takes its output with the given probability, and stays as it is
    otherwise.

    Args:
        layer: a layer or model that keeps the shape.
        probability: from 0 to 1.
        seed: int or `None`, of the choice of rows; the layer has its own.

    Call: `(batch, ...)`, shape kept. With `training=False` no row takes part.

    Raises:
        ValueError: if `probability` is outside 0 to 1, or the layer changes the shape.

    Example:

    >>> jitter = contrast.augmentation.RandomApply(keras.layers.RandomInvert(1.0, (0, 1)), 0.2)
    >>> tuple(jitter(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 32, 32, 3)
    """

    def __init__(
        self, layer: keras.Layer, probability: float = 0.5, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, got {probability}.")
        self.layer, self.probability, self.seed = layer, probability, seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Shape) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)

    def call(self, inputs: Tensor, training: bool = True) -> Tensor:
        check_is_array(inputs, "RandomApply")
        if not training:
            return ops.cast(inputs, self.compute_dtype)
        # A copy: on PyTorch keras.layers.RandomBrightness writes into its input.
        outputs = self.layer(ops.copy(inputs), training=True)
        self._check_kept(inputs.shape[1:], outputs.shape[1:])
        shape = (ops.shape(inputs)[0], *(1,) * (len(inputs.shape) - 1))
        drawn = keras.random.uniform(shape, seed=self.generator, dtype="float32") < self.probability
        return ops.where(drawn, ops.cast(outputs, self.compute_dtype), ops.cast(inputs, self.compute_dtype))

    def _check_kept(self, before, after):
        if tuple(before) != tuple(after):
            raise ValueError(
                f"RandomApply needs a layer that keeps the shape, got {self.layer.name!r} from "
                f"{tuple(before)} to {tuple(after)}."
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._check_kept(input_shape[1:], self.layer.compute_output_shape(input_shape)[1:])
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "probability": self.probability,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})
