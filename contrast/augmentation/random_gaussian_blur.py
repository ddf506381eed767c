from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.augmentation.images import check_images, checked_pair, checked_value_range, weighted_sums
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class RandomGaussianBlur(keras.Layer):
    """Blurs each image with a Gaussian of its own width.

    `keras.layers.RandomGaussianBlur` draws one kernel for the whole batch; here every image draws one. Rows
    and columns are blurred one after the other, each channel by itself. The kernel is cut off only at the
    border, where it is scaled to sum to 1. To blur some images only, wrap it in `RandomApply`.

    Args:
        sigma: smallest and largest standard deviation in pixels, above 0; drawn uniformly.
        value_range: the range of the images' values, checked where they are known (not in a compiled step),
            and kept. `None` checks nothing.
        seed: int or `None`.

    Call: images `(batch, height, width, channels)`, shape kept; unchanged with `training=False`.

    Raises:
        ValueError: if `sigma` is not an ordered pair above 0, images have another rank or an unknown size, or
            values outside `value_range`.

    Example:

    >>> blur = contrast.augmentation.RandomGaussianBlur((0.1, 2.0))
    >>> tuple(blur(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 32, 32, 3)
    """

    def __init__(
        self,
        sigma: Sequence[float] = (0.1, 2.0),
        value_range: Sequence[float] | None = (0.0, 1.0),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sigma = checked_pair(sigma, "sigma", 0)
        self.value_range = checked_value_range(value_range)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = True) -> Tensor:
        check_images(images, self.value_range, "RandomGaussianBlur")
        if not training:
            return ops.cast(images, self.compute_dtype)
        batch, height, width = ops.shape(images)[:3]
        low, high = self.sigma
        share = keras.random.uniform((batch, 1, 1), seed=self.generator, dtype="float32")
        sigma = low + share * (high - low)
        blurred = weighted_sums(images, _gaussian(sigma, height), _gaussian(sigma, width), self.value_range)
        return ops.cast(blurred, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "value_range": self.value_range,
            "seed": self.seed,
        }


def _gaussian(sigma, pixels):
    """Weights `(batch, pixels, pixels)` of every pixel at every pixel of a line."""
    places = ops.arange(pixels, dtype="float32")
    return ops.exp(-0.5 * ops.square((places[:, None] - places) / sigma))
