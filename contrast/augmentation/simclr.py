from collections.abc import Sequence

import keras

from contrast.augmentation.image_pipeline import ImagePipeline
from contrast.augmentation.random_apply import RandomApply
from contrast.augmentation.random_gaussian_blur import RandomGaussianBlur
from contrast.augmentation.random_resized_crop import RandomResizedCrop
from contrast.seeds import apart


def simclr_augmentation(
    size: int | Sequence[int],
    strength: float = 0.5,
    blur: bool = False,
    color: bool = True,
    area: Sequence[float] = (0.08, 1.0),
    seed: int | None = None,
) -> ImagePipeline:
    """SimCLR's random view of an image, every step of it drawn per image.

    Crop and scale, flip horizontally, jitter the colours (probability 0.8), turn grey (0.2) and, if asked
    for, blur (0.5, sigma from 0.1 to 2 pixels). The jitter applies brightness, contrast, saturation and hue
    in this order; brightness is a shift, as in Keras.

    Args:
        size: height and width of the view, an int or a pair.
        strength: of the jitter, from 0 to 1.25: 1 for photographs as in ImageNet, 0.5 as for CIFAR-10.
        blur: for larger images; SimCLR leaves it out for CIFAR-10.
        color: `False` for images of one channel: brightness and contrast only.
        area: share of the image that the crop takes.
        seed: int or `None`.

    Returns:
        A `contrast.augmentation.ImagePipeline` from images `(batch, height, width, channels)` with values
        from 0 to 1 to `(batch, size, size, channels)`, likewise. With `training=False` it gives the centre of
        the image.

    Raises:
        ValueError: if `strength` is outside 0 to 1.25, or see `RandomResizedCrop`.

    Example:

    >>> view = contrast.augmentation.simclr_augmentation(24, seed=0)
    >>> tuple(view(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 24, 24, 3)

    Reference: [Chen et al., 2020](https://arxiv.org/abs/2002.05709), appendix A and B.9.
    """
    if not 0 <= strength <= 1.25:
        raise ValueError(f"strength must be from 0 to 1.25, got {strength}.")
    seeds = iter(apart(seed, 8))
    layers = [
        RandomResizedCrop(size, area, seed=next(seeds)),
        keras.layers.RandomFlip("horizontal", seed=next(seeds)),
        RandomApply(_jitter(strength, color, next(seeds)), 0.8, seed=next(seeds)),
    ]
    if color:
        # RandomGrayscale does not save its seed; drawing is left to RandomApply.
        grey = keras.layers.RandomGrayscale(1.0, seed=next(seeds))
        layers.append(RandomApply(grey, 0.2, seed=next(seeds)))
    if blur:
        layers.append(RandomApply(RandomGaussianBlur((0.1, 2.0), seed=next(seeds)), 0.5, seed=next(seeds)))
    return ImagePipeline(layers, name="simclr_augmentation")


def _jitter(strength, color, seed):
    c = 0.8 * strength
    arguments = {"brightness_factor": (-c, c), "contrast_factor": (c, c)}
    if color:
        # Keras multiplies the saturation by f / (1 - f): from 1 - c to 1 + c.
        arguments["saturation_factor"] = ((1 - c) / (2 - c), (1 + c) / (2 + c))
        # Keras turns the hue by up to half the factor, SimCLR by 0.2 of the strength.
        arguments["hue_factor"] = 0.4 * strength
    return keras.layers.RandomColorJitter((0, 1), seed=seed, **arguments)
