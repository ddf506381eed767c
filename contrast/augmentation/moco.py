from collections.abc import Sequence

from contrast.augmentation.image_pipeline import ImagePipeline, photo_pipeline


def moco_v2_augmentation(
    size: int | Sequence[int],
    area: Sequence[float] = (0.2, 1.0),
    color: bool = True,
    seed: int | None = None,
) -> ImagePipeline:
    """MoCo v2's random view of an image, which SimSiam uses as well; every step is drawn per image.

    Crop and scale, flip horizontally, jitter brightness, contrast and saturation by 0.4 and the hue by 0.1
    (probability 0.8), turn grey (0.2), blur (0.5, sigma from 0.1 to 2 pixels).

    Args:
        size: height and width of the view, an int or a pair.
        area: share of the image that the crop takes.
        color: `False` for images of one channel: brightness and contrast only.
        seed: int or `None`.

    Returns:
        A `contrast.augmentation.ImagePipeline` from images `(batch, height, width, channels)` with values
        from 0 to 1 to `(batch, size, size, channels)`, likewise. With `training=False` it gives the centre of
        the image. The blur is meant for views of some 200 pixels.

    Raises:
        ValueError: see `RandomResizedCrop`.

    Example:

    >>> two = contrast.augmentation.MultiView(contrast.augmentation.moco_v2_augmentation(24, seed=0), 2)
    >>> tuple(two(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 2, 24, 24, 3)

    Reference: [Chen et al., 2020](https://arxiv.org/abs/2003.04297).
    """
    return photo_pipeline(
        "moco_v2_augmentation", size, area, (0.4, 0.4, 0.4, 0.1), blur=0.5, color=color, seed=seed
    )
