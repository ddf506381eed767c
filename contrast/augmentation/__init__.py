"""Random views of images and clips, drawn per image, on every backend and inside `fit`.

The layers follow Keras's own augmentation layers: they draw unless they are told `training=False` or stand
in a model that predicts. Images are `(batch, height, width, channels)`.
"""

from contrast.augmentation.block_mask import block_mask
from contrast.augmentation.byol import byol_augmentation
from contrast.augmentation.dino import dino_augmentation
from contrast.augmentation.image_pipeline import ImagePipeline
from contrast.augmentation.masks import random_mask, token_ids
from contrast.augmentation.moco import moco_v2_augmentation
from contrast.augmentation.multi_crop import MultiCrop
from contrast.augmentation.multi_view import MultiView
from contrast.augmentation.one_draw_per_clip import OneDrawPerClip
from contrast.augmentation.random_apply import RandomApply
from contrast.augmentation.random_brightness_scale import RandomBrightnessScale
from contrast.augmentation.random_gaussian_blur import RandomGaussianBlur
from contrast.augmentation.random_resized_crop import RandomResizedCrop
from contrast.augmentation.random_solarize import RandomSolarize
from contrast.augmentation.shifts import CutPerm, RotationShift, Shift
from contrast.augmentation.simclr import simclr_augmentation
from contrast.augmentation.span_mask import span_mask
from contrast.augmentation.swav import swav_augmentation

__all__ = [
    "CutPerm",
    "ImagePipeline",
    "MultiCrop",
    "MultiView",
    "OneDrawPerClip",
    "RandomApply",
    "RandomBrightnessScale",
    "RandomGaussianBlur",
    "RandomResizedCrop",
    "RandomSolarize",
    "RotationShift",
    "Shift",
    "block_mask",
    "byol_augmentation",
    "dino_augmentation",
    "moco_v2_augmentation",
    "random_mask",
    "simclr_augmentation",
    "span_mask",
    "swav_augmentation",
    "token_ids",
]
