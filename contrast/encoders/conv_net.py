from collections.abc import Sequence
from typing import Any

import keras

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ConvNet(keras.Model):
    """A small convolutional encoder that trains on a laptop.

    Each stage is two 3x3 convolutions, the first with stride 2, each followed by normalisation and ReLU; the
    feature vector is the mean over the last map.

    Args:
        filters: channels of each stage.
        normalization: `"batch"`; `"group"`, which does not mix images, for batches with padding; or `None`.

    Call: images `(batch, height, width, channels)` to features `(batch, filters[-1])`.
        `stage_outputs(images)` gives the map of each stage.

    Raises:
        ValueError: if `filters` is empty or `normalization` unknown, or at the first call if images are too
            small for the number of stages.

    Example:

    >>> tuple(contrast.encoders.ConvNet((16, 32))(np.zeros((2, 28, 28, 1), "float32")).shape)
    (2, 32)
    """

    def __init__(
        self, filters: Sequence[int] = (16, 32, 64), normalization: str | None = "batch", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        filters = tuple(int(count) for count in filters)
        if not filters or min(filters) < 1:
            raise ValueError(f"filters must name at least one stage, each at least 1, got {filters}.")
        if normalization not in ("batch", "group", None):
            raise ValueError(f"normalization must be 'batch', 'group' or None, got {normalization!r}.")
        self.filters, self.normalization = filters, normalization
        self.stages = [keras.Sequential(self._stage(count), name=f"stage_{count}") for count in filters]
        self.pool = keras.layers.GlobalAveragePooling2D(dtype=self.dtype_policy)

    def _stage(self, filters):
        layers = []
        for strides in (2, 1):
            layers.append(
                keras.layers.Conv2D(
                    filters,
                    3,
                    strides=strides,
                    padding="same",
                    use_bias=self.normalization is None,
                    kernel_initializer="he_normal",
                    dtype=self.dtype_policy,
                )
            )
            if self.normalization == "batch":
                layers.append(
                    keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy)
                )
            elif self.normalization == "group":
                groups = next(g for g in (8, 4, 2, 1) if filters % g == 0)
                layers.append(keras.layers.GroupNormalization(groups, dtype=self.dtype_policy))
            layers.append(keras.layers.ReLU(dtype=self.dtype_policy))
        return layers

    def build(self, input_shape: Shape) -> None:
        smallest = 2 ** len(self.filters)
        if len(input_shape) != 4 or (None not in input_shape[1:3] and min(input_shape[1:3]) < smallest):
            raise ValueError(
                f"ConvNet with {len(self.filters)} stages needs images (batch, height, width, channels) of "
                f"at least {smallest} pixels a side, got shape {tuple(input_shape)}."
            )
        for stage in self.stages:
            stage.build(input_shape)
            input_shape = stage.compute_output_shape(input_shape)
        self.built = True

    def stage_outputs(
        self, images: Tensor, training: bool | None = None, stages: int | None = None
    ) -> tuple[Tensor, ...]:
        """The map of each stage, first to last, as a tuple of `(batch, height, width, channels)`.

        With `stages=n` only the first n stages are run.
        """
        if not self.built:
            self.build(images.shape)
        outputs = []
        for stage in self.stages[:stages]:
            images = stage(images, training=training)
            outputs.append(images)
        return tuple(outputs)

    def stage_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The shapes of `stage_outputs` for images of this shape."""
        shapes = []
        for stage in self.stages:
            input_shape = stage.compute_output_shape(input_shape)
            shapes.append(tuple(input_shape))
        return tuple(shapes)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.pool(self.stage_outputs(inputs, training)[-1])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.filters[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "normalization": self.normalization}
