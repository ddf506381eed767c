from typing import Any, Self

import keras
from keras import ops

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class OneDrawPerClip(keras.Layer):
    """An augmentation of images for clips: what is drawn for a clip holds for all of its frames.

    The layer runs frame after frame, and its seeds are set back before each: whatever it draws per image, it
    draws alike for every frame of a clip, and apart for every clip. This serves layers of any kind, and
    pipelines of them. Statistics that a layer takes of an image (the mean in `RandomContrast`) are those of
    the frame.

    Compiling grows with the number of frames; long clips are better augmented in the input pipeline, as
    `contrast.data.ViewBatches` does.

    Args:
        layer: a layer or model on images, which draws through `keras.random.SeedGenerator` objects, as
            Keras's layers and those of this package do.

    Call: clips `(batch, frames, height, width, channels)` to `(batch, frames, ...)`. With `training=False`
        every frame is what the layer gives at inference.

    Raises:
        ValueError: if clips have another rank, or an unknown number of frames or none.

    Example:

    >>> clips = contrast.augmentation.OneDrawPerClip(contrast.augmentation.simclr_augmentation(24))
    >>> tuple(clips(np.zeros((4, 3, 32, 32, 3), "float32"), training=True).shape)
    (4, 3, 24, 24, 3)
    """

    def __init__(self, layer: keras.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Shape) -> None:
        self._check_clips(input_shape)
        if not self.layer.built:
            self.layer.build((input_shape[0], *input_shape[2:]))

    def _check_clips(self, shape):
        if len(shape) != 5 or not shape[1]:
            raise ValueError(
                "OneDrawPerClip needs clips (batch, frames, height, width, channels) of at least one frame, "
                f"their number known, got shape {tuple(shape)}."
            )

    def _seeds(self):
        weights = {id(weight) for weight in self.layer.weights}
        return [variable for variable in self.layer.variables if id(variable) not in weights]

    def call(self, clips: Tensor, training: bool = True) -> Tensor:
        self._check_clips(clips.shape)
        seeds = self._seeds()
        before = [ops.copy(seed.value) for seed in seeds]
        frames = []
        for frame in range(clips.shape[1]):
            for seed, value in zip(seeds, before, strict=True):
                seed.assign(value)
            # A copy: on PyTorch keras.layers.RandomBrightness writes into its input.
            output = self.layer(ops.copy(clips[:, frame]), training=bool(training))
            frames.append(ops.cast(output, self.compute_dtype))
        return ops.stack(frames, axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        frame = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        return (*input_shape[:2], *frame[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})
