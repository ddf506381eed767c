from collections.abc import Sequence

from contrast.augmentation.image_pipeline import photo_pipeline
from contrast.augmentation.multi_crop import MultiCrop, check_sizes


def swav_augmentation(
    global_size: int | Sequence[int],
    local_size: int | Sequence[int],
    local_views: int = 6,
    global_area: Sequence[float] = (0.14, 1.0),
    local_area: Sequence[float] = (0.05, 0.14),
    color: bool = True,
    seed: int | None = None,
) -> MultiCrop:
    """SwAV's multi-crop views of an image: two large ones and several small ones, alike but for their crop.

    All flip horizontally, jitter brightness, contrast and saturation by 0.8 and the hue by 0.2 (probability
    0.8), turn grey (0.2) and blur (0.5, sigma from 0.1 to 2 pixels). Every step is drawn per image and view.

    Args:
        global_size: height and width of the large views, an int or a pair; the paper's photographs: 224.
        local_size: of the small views, not above `global_size`; the paper's: 96.
        local_views: how many small views.
        global_area: share of the image that a large view takes.
        local_area: share of the image that a small view takes.
        color: `False` for images of one channel: brightness and contrast only.
        seed: int or `None`.

    Returns:
        A `contrast.augmentation.MultiCrop` for images with values from 0 to 1.

    Raises:
        ValueError: if the small views are larger than the large ones, or see `MultiCrop` and
            `RandomResizedCrop`.

    Example:

    >>> crops = contrast.augmentation.swav_augmentation(24, 12, local_views=4, seed=0)
    >>> large, small = crops(np.zeros((4, 32, 32, 3), "float32"), training=True)
    >>> tuple(large.shape), tuple(small.shape)
    ((4, 2, 24, 24, 3), (4, 4, 12, 12, 3))

    Reference: [Caron et al., 2020](https://arxiv.org/abs/2006.09882), section 3.2 and appendix A.
    """
    check_sizes(global_size, local_size)
    large, small = (
        photo_pipeline(
            f"swav_{kind}",
            size,
            area,
            (0.8, 0.8, 0.8, 0.2),
            blur=0.5,
            color=color,
            seed=None if seed is None else (seed, number),
        )
        for number, (kind, size, area) in enumerate(
            (("global", global_size, global_area), ("local", local_size, local_area))
        )
    )
    return MultiCrop(large, small, 2, local_views, name="swav_augmentation")
