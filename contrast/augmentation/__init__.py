"""Random views of images and clips, drawn per image, on every backend and inside `fit`.

The layers follow Keras's own augmentation layers: they draw unless they are told `training=False` or stand
in a model that predicts. Images are `(batch, height, width, channels)`.
"""

from contrast.augmentation.multi_view import MultiView
from contrast.augmentation.one_draw_per_clip import OneDrawPerClip
from contrast.augmentation.random_apply import RandomApply
from contrast.augmentation.random_brightness_scale import RandomBrightnessScale
from contrast.augmentation.random_gaussian_blur import RandomGaussianBlur
from contrast.augmentation.random_resized_crop import RandomResizedCrop
from contrast.augmentation.shifts import CutPerm, RotationShift, Shift
from contrast.augmentation.simclr import simclr_augmentation

__all__ = [
    "CutPerm",
    "MultiView",
    "OneDrawPerClip",
    "RandomApply",
    "RandomBrightnessScale",
    "RandomGaussianBlur",
    "RandomResizedCrop",
    "RotationShift",
    "Shift",
    "simclr_augmentation",
]
