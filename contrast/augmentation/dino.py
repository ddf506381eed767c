from collections.abc import Sequence

from contrast.augmentation.image_pipeline import photo_pipeline
from contrast.augmentation.multi_crop import MultiCrop, check_sizes


def dino_augmentation(
    global_size: int | Sequence[int],
    local_size: int | Sequence[int],
    local_views: int = 8,
    global_area: Sequence[float] = (0.4, 1.0),
    local_area: Sequence[float] = (0.05, 0.4),
    color: bool = True,
    seed: int | None = None,
) -> MultiCrop:
    """DINO's views of an image: two large ones, of which the second may be solarized, and several small ones.

    All flip horizontally, jitter brightness and contrast by 0.4, saturation by 0.2 and the hue by 0.1
    (probability 0.8) and turn grey (0.2). The first large view is always blurred, the second with 0.1, the
    small ones with 0.5; the second is solarized with 0.2. Every step is drawn per image and view.

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

    >>> crops = contrast.augmentation.dino_augmentation(24, 12, local_views=4, seed=0)
    >>> large, small = crops(np.zeros((4, 32, 32, 3), "float32"), training=True)
    >>> tuple(large.shape), tuple(small.shape)
    ((4, 2, 24, 24, 3), (4, 4, 12, 12, 3))

    Reference: [Caron et al., 2021](https://arxiv.org/abs/2104.14294), section 3.1 and appendix.
    """
    check_sizes(global_size, local_size)
    kinds = {
        "global_1": (global_size, global_area, 1.0, 0.0),
        "global_2": (global_size, global_area, 0.1, 0.2),
        "local": (local_size, local_area, 0.5, 0.0),
    }
    first, second, local = (
        photo_pipeline(
            f"dino_{kind}",
            size,
            area,
            (0.4, 0.4, 0.2, 0.1),
            blur,
            solarize,
            color,
            seed=None if seed is None else (seed, number),
        )
        for number, (kind, (size, area, blur, solarize)) in enumerate(kinds.items())
    )
    return MultiCrop([first, second], local, local_views=local_views, name="dino_augmentation")
