import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.augmentation.images import check_images, checked_pair, checked_value_range, weighted_sums
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class RandomResizedCrop(keras.Layer):
    """Cuts a random box out of each image and scales it to one size.

    Each image draws a share of its area, then an aspect ratio, log-uniformly among those with which the box
    fits into the image, then a place. The box is scaled bilinearly, antialiased: where it shrinks, the
    interpolation widens with it. All shapes are static: the layer compiles on every backend.

    Args:
        size: height and width of the output, one int or a pair; larger than the box scales up.
        area: smallest and largest share of the image's area, above 0 and at most 1.
        aspect: smallest and largest width / height of the box in pixels. Where no box of the drawn area and
            this range fits into the image, the nearest ratio that fits is taken.
        value_range: the range of the images' values, checked where they are known (not in a compiled step),
            and kept. `None` checks nothing.
        seed: int or `None`.

    Call: images `(batch, height, width, channels)` to `(batch, *size, channels)`. With `training=False` every
        image gives its largest centred box of the output's aspect ratio.

    Raises:
        ValueError: if `size` is below 1, a range is empty or outside its bounds, images have another rank or
            an unknown size, or values outside `value_range`.

    Example:

    >>> crop = contrast.augmentation.RandomResizedCrop(24, area=(0.2, 1.0))
    >>> tuple(crop(np.zeros((4, 32, 40, 3), "float32"), training=True).shape)
    (4, 24, 24, 3)

    Reference: [Szegedy et al., 2014](https://arxiv.org/abs/1409.4842), section 6.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        area: Sequence[float] = (0.08, 1.0),
        aspect: Sequence[float] = (3 / 4, 4 / 3),
        value_range: Sequence[float] | None = (0.0, 1.0),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sides = (size, size) if isinstance(size, int) else tuple(size)
        if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
            raise ValueError(f"size must be an int or a pair (height, width), each at least 1, got {size!r}.")
        self.size = sides
        self.area = checked_pair(area, "area", 0, 1)
        self.aspect = checked_pair(aspect, "aspect", 0)
        self.value_range = checked_value_range(value_range)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = True) -> Tensor:
        check_images(images, self.value_range, "RandomResizedCrop")
        batch, height, width = ops.shape(images)[:3]
        boxes = self._random_boxes if training else self._centred_boxes
        top, left, box_height, box_width = boxes(batch, height, width)
        outputs = weighted_sums(
            images,
            _interpolation(top, box_height, self.size[0], height),
            _interpolation(left, box_width, self.size[1], width),
            self.value_range,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _random_boxes(self, batch, height, width):
        share, shape, down, right = (
            keras.random.uniform((batch,), seed=self.generator, dtype="float32") for _ in range(4)
        )
        low, high = self.area
        area = height * width * (low + share * (high - low))
        # A box of this area fits if area / height^2 <= width / height of the box <= width^2 / area.
        narrowest, widest = ops.log(area / height**2), ops.log(width**2 / area)
        low, high = (ops.clip(ops.full_like(area, math.log(a)), narrowest, widest) for a in self.aspect)
        aspect = ops.exp(low + shape * (high - low))
        box_height = ops.minimum(ops.sqrt(area / aspect), height)
        box_width = ops.minimum(ops.sqrt(area * aspect), width)
        return down * (height - box_height), right * (width - box_width), box_height, box_width

    def _centred_boxes(self, batch, height, width):
        scale = min(height / self.size[0], width / self.size[1])
        box_height, box_width = scale * self.size[0], scale * self.size[1]
        box = ((height - box_height) / 2, (width - box_width) / 2, box_height, box_width)
        return tuple(ops.full((batch,), side, dtype="float32") for side in box)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *self.size, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "area": self.area,
            "aspect": self.aspect,
            "value_range": self.value_range,
            "seed": self.seed,
        }


def _interpolation(start, extent, outputs, inputs):
    """Triangle filters `(batch, outputs, inputs)` that spread `outputs` pixels over `extent` from `start`."""
    step = ops.reshape(extent, (-1, 1, 1)) / outputs
    centres = ops.reshape(start, (-1, 1, 1)) + step * (ops.arange(outputs, dtype="float32")[:, None] + 0.5)
    centres = ops.clip(centres, 0.5, inputs - 0.5)  # beyond the outermost pixels' centres the image goes on
    distance = ops.abs(centres - (ops.arange(inputs, dtype="float32") + 0.5))
    return ops.maximum(1 - distance / ops.maximum(step, 1.0), 0.0)
