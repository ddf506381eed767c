"""Virtual outliers and augmented views, made inside the training step."""

from dataclasses import asdict, dataclass

import keras
from keras import ops

from contrast.augmentation import RandomApply, RandomBrightnessScale, RandomResizedCrop
from contrast.augmentation.shifts import CutPerm, RotationShift, Shift


@dataclass(frozen=True)
class Strength:
    """How far a view may be from its image; the defaults are those of CSI's official code.

    Args:
        crop_area: smallest share of the image's area that a crop takes; below .001 it counts as .001.
        brightness: largest relative change.
        contrast: largest relative change.
        saturation: largest relative change. Colour images only, as are `hue` and `grey`.
        hue: largest turn as a share of the colour circle, at most .5.
        jitter_probability: share of the views whose colours change.
        grey: share of the views that lose their colours.

    Raises:
        ValueError: if a number is not from 0 to 1, or `hue` above .5.
    """

    crop_area: float = 0.08
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    jitter_probability: float = 0.8
    grey: float = 0.2

    def __post_init__(self):
        for name, value in asdict(self).items():
            highest = 0.5 if name == "hue" else 1
            if not 0 <= value <= highest:
                raise ValueError(f"{name} must be from 0 to {highest}, got {value}.")

    @classmethod
    def of_stage(cls, crop_area: float, jitter: float) -> "Strength":
        """CSI's colour jitter times `jitter`, and this smallest crop."""
        return cls(crop_area, 0.4 * jitter, 0.4 * jitter, 0.4 * jitter, 0.1 * jitter)

    @classmethod
    def small(cls, crop_area: float = 0.4) -> "Strength":
        """For small images and short trainings: crops, and the brightness of every view."""
        return cls(crop_area, 0.4, 0.0, 0.0, 0.0, 1.0, 0.0)

    def layers(self, size: tuple[int, int], channels: int) -> list[keras.Layer]:
        """What changes an image after the shift: colours, grey, crop to `size`; each drawn per image."""
        jitter = {}
        if self.contrast:
            jitter["contrast_factor"] = (self.contrast, self.contrast)
        if self.saturation and channels == 3:
            # Keras multiplies the saturation by f / (1 - f): from 1 - s to 1 + s.
            s = self.saturation
            jitter["saturation_factor"] = ((1 - s) / (2 - s), (1 + s) / (2 + s))
        if self.hue and channels == 3:
            jitter["hue_factor"] = 2 * self.hue  # Keras turns by up to half the factor
        colours = [RandomBrightnessScale(self.brightness)] if self.brightness else []
        if jitter:
            colours.append(keras.layers.RandomColorJitter((0, 1), **jitter))
        layers = []
        if colours and self.jitter_probability:
            layers.append(RandomApply(keras.Sequential(colours), self.jitter_probability))
        if self.grey and channels == 3:
            layers.append(RandomApply(keras.layers.RandomGrayscale(1.0), self.grey))
        layers.append(RandomResizedCrop(size, (max(self.crop_area, 1e-3), 1.0), value_range=None))
        return layers


class ShiftedViews(keras.Layer):
    """Two random views of each image under each transform of a shift.

    As in CSI's official code: flip per view, then the shift, then colours, grey and crop. All is drawn per
    view.

    Args:
        shift: a `contrast.augmentation.Shift` of K transforms.
        strength: a `Strength`.
        flip: flip half of the views from left to right.

    Call: images `(N, height, width, channels)` with values from 0 to 1 to `(K * 2 * N, ...)`: by transform,
        within it by view, within it by image; also with `training=False`.
    """

    def __init__(self, shift, strength, flip=True, **kwargs):
        super().__init__(**kwargs)
        self.shift, self.strength = shift, strength
        self.flip = keras.layers.RandomFlip("horizontal") if flip else None
        self.augmentations = []

    def build(self, input_shape):
        self.shift.check(input_shape)
        self.augmentations = self.strength.layers(tuple(input_shape[1:3]), input_shape[3])
        for layer in (self.flip, self.shift, *self.augmentations):
            if layer is not None:
                layer.build((None, *input_shape[1:]))

    def call(self, images):
        views = ops.concatenate([images, images], axis=0)
        if self.flip is not None:
            views = self.flip(views, training=True)
        views = self.shift(views)
        for layer in self.augmentations:
            views = layer(views, training=True)
        return views

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])


SHIFTS = {"rotation": RotationShift, "cutperm": CutPerm}


def make_shift(shift: str | Shift) -> Shift:
    """The shift of this name, or the layer itself.

    Raises:
        ValueError: if the name is unknown.
    """
    if isinstance(shift, Shift):
        return shift
    if shift not in SHIFTS:
        raise ValueError(f"shift must be {' or '.join(map(repr, SHIFTS))} or a Shift layer, got {shift!r}.")
    return SHIFTS[shift]()


def by_instance(z, shifts):
    """Embeddings of `ShiftedViews`, `(K * 2 * N, dim)`, as `(K * N, 2, dim)`."""
    dim = z.shape[-1]
    z = ops.transpose(ops.reshape(z, (shifts, 2, -1, dim)), (0, 2, 1, 3))
    return ops.reshape(z, (-1, 2, dim))


def fixed_crops(images, copies, flip):
    """The images themselves and fixed crops of them that take .54 of the area, as CSI's test code does.

    The same places for every image, so that a score depends on the image alone.

    Args:
        images: `(batch, height, width, channels)`.
        copies: how many tensors to give, at least 1.
        flip: turn every other crop from left to right.

    Returns:
        A list of `copies` tensors of the images' shape.
    """
    height, width = images.shape[1:3]
    box_height, box_width = (max(1, round(0.54**0.5 * side)) for side in (height, width))
    outputs = [images]
    for number in range(copies - 1):
        # a low-discrepancy sequence: any number of crops covers the image evenly
        down, right = ((0.5 + number * step) % 1 for step in (0.7548776662466927, 0.5698402909980532))
        top, left = round(down * (height - box_height)), round(right * (width - box_width))
        crop = images[:, top : top + box_height, left : left + box_width]
        if flip and number % 2:
            crop = ops.flip(crop, axis=2)
        outputs.append(ops.image.resize(crop, (height, width), antialias=True, data_format="channels_last"))
    return outputs
