"""Random views of images, clips, token ids, series, spectrograms and graphs, on every backend, inside `fit`.

Every layer draws for each sample apart. The layers follow Keras's own augmentation layers: they draw unless
they are told `training=False` or stand in a model that predicts. Images are `(batch, height, width,
channels)`.

Seeds of layers that stand together should lie far apart: on PyTorch the first draw of seed 3 repeats the
second one of seed 2. The pipelines see to this for their own steps.
"""

from contrast.augmentation.block_mask import block_mask
from contrast.augmentation.byol import byol_augmentation
from contrast.augmentation.dino import dino_augmentation
from contrast.augmentation.graphs import RandomAdjacencyDrop, RandomEdgeDrop, RandomFeatureMask
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
from contrast.augmentation.series import RandomJitter, RandomPermutation, RandomScaling, RandomTimeCrop
from contrast.augmentation.shifts import CutPerm, RotationShift, Shift
from contrast.augmentation.simclr import simclr_augmentation
from contrast.augmentation.span_mask import span_mask
from contrast.augmentation.spectrograms import RandomFrequencyMask, RandomTimeMask
from contrast.augmentation.swav import swav_augmentation
from contrast.augmentation.tokens import RandomTokenCropping, RandomTokenDeletion, RandomTokenMasking

__all__ = [
    "CutPerm",
    "ImagePipeline",
    "MultiCrop",
    "MultiView",
    "OneDrawPerClip",
    "RandomAdjacencyDrop",
    "RandomApply",
    "RandomBrightnessScale",
    "RandomEdgeDrop",
    "RandomFeatureMask",
    "RandomFrequencyMask",
    "RandomGaussianBlur",
    "RandomJitter",
    "RandomPermutation",
    "RandomResizedCrop",
    "RandomScaling",
    "RandomSolarize",
    "RandomTimeCrop",
    "RandomTimeMask",
    "RandomTokenCropping",
    "RandomTokenDeletion",
    "RandomTokenMasking",
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
