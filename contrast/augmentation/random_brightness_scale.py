from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.augmentation.images import check_images, checked_value_range
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class RandomBrightnessScale(keras.Layer):
    r"""Multiplies each image by a factor of its own, drawn from $1 - f$ to $1 + f$.

    This is the brightness of PyTorch's colour jitter and of most official code in the field.
    `keras.layers.RandomBrightness` adds a constant instead, which wipes out far more of an image: a shift by
    0.4 leaves nothing of all that is darker.

    Args:
        factor: $f$, above 0 and at most 1.
        value_range: of the images; results are clipped to it. `None`: no check, and no clipping.
        seed: int or `None`.

    Call: images `(batch, height, width, channels)`, shape kept; unchanged with `training=False`.

    Raises:
        ValueError: if `factor` is outside its range, images have another rank or an unknown size, or values
            outside `value_range`.

    Example:

    >>> brighter = contrast.augmentation.RandomBrightnessScale(0.4)
    >>> tuple(brighter(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 32, 32, 3)
    """

    def __init__(
        self,
        factor: float = 0.4,
        value_range: Sequence[float] | None = (0.0, 1.0),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < factor <= 1:
            raise ValueError(f"factor must be above 0 and at most 1, got {factor}.")
        self.factor, self.seed = factor, seed
        self.value_range = checked_value_range(value_range)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = True) -> Tensor:
        check_images(images, self.value_range, "RandomBrightnessScale")
        images = ops.cast(images, self.compute_dtype)
        if not training:
            return images
        scale = keras.random.uniform(
            (ops.shape(images)[0], 1, 1, 1),
            1 - self.factor,
            1 + self.factor,
            seed=self.generator,
            dtype="float32",
        )
        scaled = images * ops.cast(scale, self.compute_dtype)
        return scaled if self.value_range is None else ops.clip(scaled, *self.value_range)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "value_range": self.value_range,
            "seed": self.seed,
        }
