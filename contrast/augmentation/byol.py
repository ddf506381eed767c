from collections.abc import Sequence

from contrast.augmentation.image_pipeline import ImagePipeline, photo_pipeline

JITTER = (0.4, 0.4, 0.2, 0.1)  # brightness, contrast, saturation, hue; table 6


def byol_augmentation(
    size: int | Sequence[int],
    area: Sequence[float] = (0.08, 1.0),
    color: bool = True,
    seed: int | None = None,
) -> tuple[ImagePipeline, ...]:
    """BYOL's two random views of an image: the first is always blurred, the second may be solarized.

    Both crop and scale, flip horizontally, jitter brightness and contrast by 0.4, saturation by 0.2 and the
    hue by 0.1 (probability 0.8) and turn grey (0.2). The first blurs with probability 1 and never solarizes,
    the second blurs with 0.1 and solarizes with 0.2; sigma is from 0.1 to 2 pixels. The jitter multiplies the
    brightness by a factor and keeps one order of its parts. MoCo v3 and Barlow Twins use the same pair.

    Args:
        size: height and width of the views, an int or a pair.
        area: share of the image that the crops take.
        color: `False` for images of one channel: brightness and contrast only.
        seed: int or `None`.

    Returns:
        Two `contrast.augmentation.ImagePipeline`, each from images `(batch, height, width, channels)` with
        values from 0 to 1 to `(batch, size, size, channels)`, likewise. `MultiView` takes the pair. With
        `training=False` they give the centre of the image.

    Raises:
        ValueError: see `RandomResizedCrop`.

    Example:

    >>> two = contrast.augmentation.MultiView(contrast.augmentation.byol_augmentation(24, seed=0))
    >>> tuple(two(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 2, 24, 24, 3)

    Reference: [Grill et al., 2020](https://arxiv.org/abs/2006.07733), appendix B and table 6.
    """
    return tuple(
        photo_pipeline(
            f"byol_augmentation_{view + 1}",
            size,
            area,
            JITTER,
            blur,
            solarize,
            color,
            seed=None if seed is None else (seed, view),
        )
        for view, (blur, solarize) in enumerate(((1.0, 0.0), (0.1, 0.2)))
    )
