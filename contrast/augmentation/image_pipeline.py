from collections.abc import Sequence

import keras

from contrast.augmentation.images import check_is_array, check_is_no_integer
from contrast.augmentation.random_apply import RandomApply
from contrast.augmentation.random_brightness_scale import RandomBrightnessScale
from contrast.augmentation.random_gaussian_blur import RandomGaussianBlur
from contrast.augmentation.random_resized_crop import RandomResizedCrop
from contrast.augmentation.random_solarize import RandomSolarize
from contrast.seeds import apart
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ImagePipeline(keras.Sequential):
    """Augmentations one after the other, of images with values from 0 to 1.

    A plain `keras.Sequential` turns `uint8` images into floats from 0 to 255 before its first layer sees
    them. This one refuses integers, in a compiled step as well. Floats beyond 1 are noticed by its layers
    where values are known: in direct calls, and always on PyTorch; not in a step that TensorFlow or JAX
    compiles, where a model whose float `keras.Input` casts integers to floats thus hides them.

    Args:
        layers: as for `keras.Sequential`.

    Call: images `(batch, height, width, channels)`.

    Raises:
        ValueError: if images are integers or in a list.

    Example:

    >>> view = contrast.augmentation.ImagePipeline([contrast.augmentation.RandomResizedCrop(24)])
    >>> tuple(view(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 24, 24, 3)
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        self._check(inputs)
        return super().call(inputs, training=training, mask=mask)

    def compute_output_spec(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> keras.KerasTensor:
        self._check(inputs)
        return super().compute_output_spec(inputs, training=training, mask=mask)

    def _check(self, images):
        check_is_array(images, self.name)
        check_is_no_integer(images, (0, 1), self.name)


def photo_pipeline(
    name: str,
    size: int | Sequence[int],
    area: Sequence[float],
    jitter: tuple[float, float, float, float],
    blur: float,
    solarize: float = 0.0,
    color: bool = True,
    seed: int | Sequence[int] | None = None,
) -> ImagePipeline:
    """Crop and scale, flip, jitter (0.8), turn grey (0.2), blur and solarize, in this order, drawn per image.

    Args:
        name: of the pipeline.
        size: height and width of the view, an int or a pair.
        area: smallest and largest share of the image that the crop takes.
        jitter: the largest change of brightness, contrast and saturation as factors, and of the hue in turns
            of the colour circle.
        blur, solarize: probabilities; sigma of the blur is from 0.1 to 2 pixels.
        color: `False` for images of one channel: no saturation, hue and grey.
        seed: int, a tuple of ints or `None`.

    Returns:
        An `ImagePipeline`.
    """
    seeds = iter(apart(seed, 10))
    layers = [
        RandomResizedCrop(size, area, seed=next(seeds)),
        keras.layers.RandomFlip("horizontal", seed=next(seeds)),
        RandomApply(_jitter(*jitter, color, seeds), 0.8, seed=next(seeds)),
    ]
    grey, blurred = (
        RandomApply(layer, rate, seed=next(seeds))
        for layer, rate in (
            # RandomGrayscale does not save its seed; drawing is left to RandomApply.
            (keras.layers.RandomGrayscale(1.0, seed=next(seeds)), 0.2),
            (RandomGaussianBlur((0.1, 2.0), seed=next(seeds)), blur),
        )
    )
    solarized = RandomSolarize(solarize, seed=next(seeds))
    layers += [grey] * color + [blurred] * (blur > 0) + [solarized] * (solarize > 0)
    return ImagePipeline(layers, name=name)


def _jitter(brightness, contrast, saturation, hue, color, seeds):
    arguments = {"contrast_factor": (contrast, contrast)}
    if color:
        # Keras multiplies the saturation by f / (1 - f): here from 1 - saturation to 1 + saturation.
        arguments["saturation_factor"] = (
            (1 - saturation) / (2 - saturation),
            (1 + saturation) / (2 + saturation),
        )
        arguments["hue_factor"] = 2 * hue  # Keras turns the hue by up to half the factor.
    return keras.Sequential(
        [
            RandomBrightnessScale(brightness, seed=next(seeds)),
            keras.layers.RandomColorJitter((0, 1), seed=next(seeds), **arguments),
        ]
    )
