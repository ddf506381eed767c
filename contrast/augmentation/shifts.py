"""Transforms of the whole distribution, which turn normal images into virtual outliers."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.augmentation.images import check_is_array
from contrast.typing import Shape, Tensor


class Shift(keras.Layer):
    """What shifts have in common: each image comes back once under each of `shifts` fixed transforms.

    The first transform is the identity. Nothing is drawn, and nothing depends on `training`. A shift of your
    own derives from this class, sets `shifts` and defines `copies`.

    Attributes:
        shifts: the number K of transforms.

    Call: images `(batch, height, width, channels)` to `(K * batch, height, width, channels)`: first the whole
        batch under transform 0, then the whole batch under transform 1, and so on.
    """

    shifts: int

    def copies(self, images: Tensor) -> list[Tensor]:
        """The batch under each transform: `shifts` tensors, the first one being the batch itself."""
        raise NotImplementedError(f"{type(self).__name__} must define copies(images).")

    def labels(self, images: int | Tensor) -> Tensor:
        """The number of the transform behind each output.

        Args:
            images: how many images go in.

        Returns:
            An int32 tensor `(shifts * images,)`: zeros first, `shifts - 1` last.
        """
        numbers = ops.arange(self.shifts, dtype="int32")[:, None]
        return ops.reshape(ops.broadcast_to(numbers, (self.shifts, images)), (-1,))

    def call(self, images: Tensor) -> Tensor:
        check_is_array(images, type(self).__name__)
        self.check(images.shape)
        return ops.concatenate(self.copies(ops.cast(images, self.compute_dtype)), axis=0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        batch = input_shape[0]
        return (None if batch is None else self.shifts * batch, *input_shape[1:])

    def check(self, shape: Shape) -> None:
        """Raises a ValueError unless images of this shape can be shifted."""
        if len(shape) != 4 or None in tuple(shape[1:3]):
            raise ValueError(
                f"{type(self).__name__} needs images (batch, height, width, channels) of known height and "
                f"width, got shape {tuple(shape)}."
            )


@keras.saving.register_keras_serializable(package="contrast")
class RotationShift(Shift):
    """Each image turned by 0, 90, 180 and 270 degrees, counter-clockwise.

    Use it where things have an upright position. Where a rotated image is as normal as the image itself
    (textures, views from above, round parts) use `CutPerm`.

    Call: square images `(batch, side, side, channels)` to `(4 * batch, side, side, channels)`: first all
        images as they are, then all turned by 90 degrees, and so on. `labels(batch)` gives the number of
        quarter turns of each, `(4 * batch,)`.

    Raises:
        ValueError: if images are not square or have another rank.

    Example:

    >>> shift = contrast.augmentation.RotationShift()
    >>> image = np.array([[1, 2], [3, 4]], "float32")[None, :, :, None]
    >>> keras.ops.convert_to_numpy(shift(image))[1, :, :, 0].tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    >>> keras.ops.convert_to_numpy(shift.labels(2)).tolist()
    [0, 0, 1, 1, 2, 2, 3, 3]

    Reference: [Golan and El-Yaniv, 2018](https://arxiv.org/abs/1805.10917)
    """

    shifts = 4

    def copies(self, images: Tensor) -> list[Tensor]:
        turned = ops.transpose(images, (0, 2, 1, 3))
        return [images, ops.flip(turned, axis=1), ops.flip(images, axis=(1, 2)), ops.flip(turned, axis=2)]

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if shape[1] != shape[2]:
            raise ValueError(
                f"RotationShift needs square images, got shape {tuple(shape)}; crop or resize them, or use "
                "CutPerm."
            )


HALVES_SWAPPED = ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0))


@keras.saving.register_keras_serializable(package="contrast")
class CutPerm(Shift):
    """Each image cut into its four quarters, which are put together in other orders.

    Use it where a rotated image is as normal as the image itself, and the parts have their places.

    Args:
        permutations: tuples of the quarters 0 (top left), 1 (top right), 2 (bottom left) and 3 (bottom
            right): which quarter comes to each of these places. The first one is `(0, 1, 2, 3)`, and no two
            are equal. The default swaps the halves: left and right, top and bottom, both.

    Call: images `(batch, height, width, channels)` of even height and width to `(K * batch, height, width,
        channels)` for K permutations: first all images as they are, then all under the second permutation,
        and so on. `labels(batch)` gives the number of the permutation of each, `(K * batch,)`.

    Raises:
        ValueError: if height or width is odd, images have another rank, or see `permutations`.

    Example:

    >>> shift = contrast.augmentation.CutPerm()
    >>> image = np.array([[1, 2], [3, 4]], "float32")[None, :, :, None]
    >>> keras.ops.convert_to_numpy(shift(image))[:, :, :, 0].tolist()[1:3]
    [[[2.0, 1.0], [4.0, 3.0]], [[3.0, 4.0], [1.0, 2.0]]]

    Reference: [Tack et al., 2020](https://arxiv.org/abs/2007.08176)
    """

    def __init__(self, permutations: Sequence[Sequence[int]] = HALVES_SWAPPED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        permutations = tuple(tuple(permutation) for permutation in permutations)
        wrong = [p for p in permutations if sorted(p) != [0, 1, 2, 3]]
        if wrong or len(set(permutations)) != len(permutations) or permutations[:1] != ((0, 1, 2, 3),):
            raise ValueError(
                "permutations must be different orders of 0, 1, 2, 3, the first one being (0, 1, 2, 3), got "
                f"{permutations}."
            )
        self.permutations = permutations
        self.shifts = len(permutations)

    def copies(self, images: Tensor) -> list[Tensor]:
        height, width = images.shape[1] // 2, images.shape[2] // 2
        top, bottom = images[:, :height], images[:, height:]
        quarters = (top[:, :, :width], top[:, :, width:], bottom[:, :, :width], bottom[:, :, width:])
        return [
            ops.concatenate(
                [
                    ops.concatenate([quarters[place] for place in row], axis=2)
                    for row in (permutation[:2], permutation[2:])
                ],
                axis=1,
            )
            for permutation in self.permutations
        ]

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if shape[1] % 2 or shape[2] % 2:
            raise ValueError(
                f"CutPerm needs images of even height and width, got shape {tuple(shape)}; crop or resize "
                "them."
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "permutations": self.permutations}
