from collections.abc import Sequence
from typing import Any

import keras

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ResNet(keras.Model):
    """A residual network of basic blocks with the stem for small images: a 3x3 convolution, no pooling.

    The defaults are ResNet-18; `width=16` is a narrow one that trains on a laptop.

    Args:
        blocks: residual blocks of each stage, each of two 3x3 convolutions. Stages after the first halve the
            map and double the channels.
        width: channels of the stem and the first stage.
        normalization: `"batch"`, or `"group"`, which does not mix images.

    Call: images `(batch, height, width, channels)` to features `(batch, width * 2 ** (stages - 1))`, the mean
        over the last map. `stage_outputs(images)` gives the maps.

    Raises:
        ValueError: if `blocks` is empty or holds a number below 1, `width` is below 1 or `normalization`
            unknown, or at the first call if images are too small for the number of stages.

    Example:

    >>> encoder = contrast.encoders.ResNet(blocks=(1, 1), width=8)
    >>> tuple(encoder(np.zeros((2, 16, 16, 3), "float32")).shape)
    (2, 16)
    >>> [tuple(output.shape) for output in encoder.stage_outputs(np.zeros((2, 16, 16, 3), "float32"))]
    [(2, 16, 16, 8), (2, 8, 8, 16)]

    Reference: [He et al., 2015](https://arxiv.org/abs/1512.03385); the stem is that of
        [Chen et al., 2020](https://arxiv.org/abs/2002.05709), appendix B.9.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (2, 2, 2, 2),
        width: int = 64,
        normalization: str = "batch",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        blocks = tuple(int(count) for count in blocks)
        if not blocks or min(blocks) < 1:
            raise ValueError(f"blocks must name at least one stage, each at least 1 block, got {blocks}.")
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}.")
        if normalization not in ("batch", "group"):
            raise ValueError(f"normalization must be 'batch' or 'group', got {normalization!r}.")
        self.blocks, self.width, self.normalization = blocks, width, normalization
        shared = {"normalization": normalization, "dtype": self.dtype_policy}
        self.stem = keras.Sequential(_convolution(width, **shared), name="stem")
        self.stages = [
            keras.Sequential(
                [
                    ResidualBlock(width * 2**stage, 2 if stage and not number else 1, **shared)
                    for number in range(count)
                ],
                name=f"stage_{stage + 1}",
            )
            for stage, count in enumerate(blocks)
        ]
        self.pool = keras.layers.GlobalAveragePooling2D(dtype=self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        smallest = 2 ** (len(self.blocks) - 1)
        if len(input_shape) != 4 or (None not in input_shape[1:3] and min(input_shape[1:3]) < smallest):
            raise ValueError(
                f"ResNet with {len(self.blocks)} stages needs images (batch, height, width, channels) of at "
                f"least {smallest} pixels a side, got shape {tuple(input_shape)}."
            )
        for part in (self.stem, *self.stages):
            part.build(input_shape)
            input_shape = part.compute_output_shape(input_shape)
        self.built = True

    def stage_outputs(
        self, images: Tensor, training: bool | None = None, stages: int | None = None
    ) -> tuple[Tensor, ...]:
        """The map of each stage, first to last, as a tuple of `(batch, height, width, channels)`.

        With `stages=n` only the first n stages are run.
        """
        if not self.built:
            self.build(images.shape)
        x = self.stem(images, training=training)
        outputs = []
        for stage in self.stages[:stages]:
            x = stage(x, training=training)
            outputs.append(x)
        return tuple(outputs)

    def stage_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The shapes of `stage_outputs` for images of this shape."""
        shapes = []
        for stage in (self.stem, *self.stages):
            input_shape = stage.compute_output_shape(input_shape)
            shapes.append(tuple(input_shape))
        return tuple(shapes[1:])

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.pool(self.stage_outputs(inputs, training)[-1])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.width * 2 ** (len(self.blocks) - 1))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "blocks": self.blocks,
            "width": self.width,
            "normalization": self.normalization,
        }


@keras.saving.register_keras_serializable(package="contrast")
class ResidualBlock(keras.Layer):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes.

    Args:
        filters: channels of the output.
        strides: of the first convolution and the shortcut.
        normalization: `"batch"` or `"group"`.

    Call: `(batch, height, width, channels)` to `(batch, height / strides, width / strides, filters)`.
    """

    def __init__(self, filters: int, strides: int = 1, normalization: str = "batch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.strides, self.normalization = filters, strides, normalization
        shared = {"normalization": normalization, "dtype": self.dtype_policy}
        self.body = keras.Sequential(
            [
                *_convolution(filters, strides=strides, **shared),
                *_convolution(filters, activation=None, **shared),
            ],
            name="body",
        )
        self.shortcut: Any = None

    def build(self, input_shape: Shape) -> None:
        self.body.build(input_shape)
        if self.strides != 1 or input_shape[-1] != self.filters:
            layers = _convolution(
                self.filters,
                1,
                self.strides,
                activation=None,
                normalization=self.normalization,
                dtype=self.dtype_policy,
            )
            self.shortcut = keras.Sequential(layers, name="shortcut")
            self.shortcut.build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        beside = inputs if self.shortcut is None else self.shortcut(inputs, training=training)
        return keras.ops.relu(self.body(inputs, training=training) + beside)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.body.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "normalization": self.normalization,
        }


def _convolution(filters, size=3, strides=1, activation="relu", *, normalization, dtype):
    layers = [
        keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=dtype,
        )
    ]
    if normalization == "batch":
        layers.append(keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype))
    else:
        groups = next(g for g in (8, 4, 2, 1) if filters % g == 0)
        layers.append(keras.layers.GroupNormalization(groups, dtype=dtype))
    if activation:
        layers.append(keras.layers.Activation(activation, dtype=dtype))
    return layers
