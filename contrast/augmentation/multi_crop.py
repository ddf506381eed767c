from collections.abc import Sequence
from typing import Any, Self

import keras

from contrast.augmentation.multi_view import MultiView
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class MultiCrop(keras.Layer):
    """Some large views and many small ones of each image, as SwAV and DINO train on.

    Views of one size stand side by side on one axis: an encoder reads each of the two outputs through
    `contrast.layers.FoldViews` or one reshape, so that it runs once for each size. An encoder without fixed
    size (any convolutional one with global pooling) reads both.

    Args:
        global_augmentation: one layer or model for the large views, or a list of them, one for each view.
        local_augmentation: likewise for the small views.
        global_views: how many large views: with one augmentation 2 unless told, with a list its length.
        local_views: how many small views: with one augmentation 6 unless told, with a list its length.

    Call: images `(batch, height, width, channels)` to the pair of `(batch, global_views, H, W, channels)` and
        `(batch, local_views, h, w, channels)`. With `training=False` the augmentations are told so: each view
        is the centre of the image if they crop.

    Raises:
        ValueError: if a number of views is below 1 or differs from its list, or views of one kind differ in
            shape.

    Example:

    >>> from contrast.augmentation import RandomResizedCrop
    >>> crops = contrast.augmentation.MultiCrop(RandomResizedCrop(24), RandomResizedCrop(8), local_views=6)
    >>> large, small = crops(np.zeros((4, 32, 32, 3), "float32"), training=True)
    >>> tuple(large.shape), tuple(small.shape)
    ((4, 2, 24, 24, 3), (4, 6, 8, 8, 3))

    Reference: [Caron et al., 2020](https://arxiv.org/abs/2006.09882), section 3.2.
    """

    def __init__(
        self,
        global_augmentation: keras.Layer | Sequence[keras.Layer],
        local_augmentation: keras.Layer | Sequence[keras.Layer],
        global_views: int | None = None,
        local_views: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.global_crops = _views("global", global_augmentation, global_views, 2, self.dtype_policy)
        self.local_crops = _views("local", local_augmentation, local_views, 6, self.dtype_policy)

    @property
    def global_views(self) -> int:
        """How many large views."""
        return self.global_crops.views

    @property
    def local_views(self) -> int:
        """How many small views."""
        return self.local_crops.views

    def build(self, input_shape: Shape) -> None:
        for crops in (self.global_crops, self.local_crops):
            if not crops.built:
                crops.build(input_shape)

    def call(self, inputs: Tensor, training: bool = True) -> tuple[Tensor, Tensor]:
        return tuple(crops(inputs, training=training) for crops in (self.global_crops, self.local_crops))

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, ...]:
        return tuple(
            crops.compute_output_shape(input_shape) for crops in (self.global_crops, self.local_crops)
        )

    def get_config(self) -> dict[str, Any]:
        large, small = self.global_crops.get_config(), self.local_crops.get_config()
        return {
            **super().get_config(),
            "global_augmentation": large["augmentation"],
            "local_augmentation": small["augmentation"],
            "global_views": large["views"],
            "local_views": small["views"],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        layers = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("global_augmentation", "local_augmentation")
        }
        return cls(**{**config, **layers})


def _views(kind, augmentation, views, usual, dtype):
    """The views of one size; `usual` is how many of them one augmentation makes unless told."""
    if views is None and not isinstance(augmentation, list | tuple):
        views = usual
    try:
        return MultiView(augmentation, views, name=f"{kind}_crops", dtype=dtype)
    except ValueError as error:
        raise ValueError(f"{kind}_{error}") from None


def check_sizes(global_size: int | Sequence[int], local_size: int | Sequence[int]) -> None:
    """Raises a ValueError if the small views are larger than the large ones."""
    large, small = (
        (size, size) if isinstance(size, int) else tuple(size) for size in (global_size, local_size)
    )
    if any(side > limit for side, limit in zip(small, large, strict=True)):
        raise ValueError(f"local_size must not exceed global_size {global_size}, got {local_size}.")
