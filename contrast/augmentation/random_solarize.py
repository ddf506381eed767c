from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.augmentation.images import check_images, checked_value_range
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class RandomSolarize(keras.Layer):
    r"""Inverts the bright pixels of some images: $x \to low + high - x$ where $x$ reaches a threshold.

    Args:
        probability: from 0 to 1, that an image is solarized.
        threshold: from 0 to 1, the place of the threshold within the range.
        value_range: `(low, high)` of the images' values, checked where they are known (not in a compiled
            step).
        seed: int or `None`.

    Call: images `(batch, height, width, channels)`, shape kept; unchanged with `training=False`.

    Raises:
        ValueError: if `probability` or `threshold` is outside 0 to 1, images have another rank or an unknown
            size, or values outside `value_range`.

    Example:

    >>> solarize = contrast.augmentation.RandomSolarize(1.0)
    >>> image = np.array([0.25, 0.75], "float32").reshape(1, 1, 2, 1)
    >>> keras.ops.convert_to_numpy(solarize(image, training=True)).ravel().tolist()
    [0.25, 0.25]

    Reference: [Grill et al., 2020](https://arxiv.org/abs/2006.07733), appendix B.
    """

    def __init__(
        self,
        probability: float = 0.2,
        threshold: float = 0.5,
        value_range: Sequence[float] | None = (0.0, 1.0),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, number in (("probability", probability), ("threshold", threshold)):
            if not 0 <= number <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {number}.")
        if value_range is None:
            raise ValueError(
                "value_range must be a pair, low below high: it says what white turns into, got None."
            )
        self.probability, self.threshold, self.seed = probability, threshold, seed
        self.value_range = checked_value_range(value_range)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = True) -> Tensor:
        check_images(images, self.value_range, "RandomSolarize")
        images = ops.cast(images, self.compute_dtype)
        if not training:
            return images
        shape = (ops.shape(images)[0], 1, 1, 1)
        drawn = keras.random.uniform(shape, seed=self.generator, dtype="float32") < self.probability
        low, high = self.value_range
        bright = images >= low + self.threshold * (high - low)
        return ops.where(ops.logical_and(drawn, bright), low + high - images, images)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "probability": self.probability,
            "threshold": self.threshold,
            "value_range": self.value_range,
            "seed": self.seed,
        }
