"""Every scheme at the size of a laptop: one small encoder, its paper's values scaled to short trainings."""

from dataclasses import dataclass
from functools import partial

import keras

from applications.schemes.corpus import SIDE
from contrast import models
from contrast.augmentation import (
    ImagePipeline,
    MultiCrop,
    MultiView,
    RandomBrightnessScale,
    RandomResizedCrop,
)
from contrast.encoders import ConvNet, ViT
from contrast.optimizers import WarmupCosine

SMALL_CROP = 8


@dataclass(frozen=True)
class Recipe:
    """How every scheme is trained, the supervised network too.

    The papers train with SGD or LARS on large batches; over some hundred steps of a small network Adam gets
    further.

    Args:
        batch_size: images in a batch.
        epochs: passes over the images; the last, partial batch of each is left out.
        learning_rate: of Adam; rises over a tenth of the steps and falls to 0 along a cosine.
    """

    batch_size: int = 128
    epochs: int = 20
    learning_rate: float = 2e-3

    def steps(self, images: int) -> int:
        """Steps of the whole training."""
        return self.epochs * (images // self.batch_size)

    def optimizer(self, images: int) -> keras.optimizers.Optimizer:
        """Adam for a training on that many images."""
        steps = self.steps(images)
        return keras.optimizers.Adam(WarmupCosine(self.learning_rate, steps, warmup_steps=steps // 10))


def small_encoder() -> ConvNet:
    """The encoder of all schemes but the masked autoencoder."""
    return ConvNet((8, 16, 64))


def small_vit() -> ViT:
    """The encoder of the masked autoencoder."""
    return ViT(patch_size=2, dim=64, depth=2, heads=4, mlp_ratio=2)


def view(size: int = SIDE, area: tuple[float, float] = (0.6, 1.0), seed: int | None = None):
    """One random view of a digit: a crop, stretched, brighter or darker; not mirrored.

    Args:
        size: pixels a side.
        area: share of the image that the crop takes.
        seed: int or `None`.
    """
    seeds = (None, None) if seed is None else (seed, seed + 1)
    return ImagePipeline(
        [
            RandomResizedCrop(size, area, aspect=(0.6, 1.7), seed=seeds[0]),
            RandomBrightnessScale(0.4, value_range=None, seed=seeds[1]),
        ]
    )


def two_views(seed: int | None = None) -> MultiView:
    """Two views of each image."""
    return MultiView(view(seed=seed), 2)


def crops(seed: int | None = None) -> MultiCrop:
    """Two large views and four small ones of each image."""
    local = None if seed is None else seed + 10
    return MultiCrop(view(seed=seed), view(SMALL_CROP, (0.5, 0.9), local), 2, 4)


# Widths of heads are a fraction of the papers'; queues and prototypes fit 3,000 images, momenta and warm-ups
# some hundred steps. Temperatures and weights of terms are the papers', DINO's that of its short trainings.
WIDE, NARROW = (128, 128, 128), (128, 64)
SCHEMES = {
    "SimCLR": partial(models.SimCLR, projector=NARROW),
    "SupCon": partial(models.SupCon, projector=NARROW),
    "DecoupledSimCLR": partial(models.DecoupledSimCLR, projector=NARROW),
    "MoCoV2": partial(models.MoCoV2, projector=NARROW, queue_size=2048, momentum=0.99),
    "MoCoV3": partial(models.MoCoV3, projector=(128, 128, 64), predictor=NARROW),
    "NNCLR": partial(models.NNCLR, projector=(128, 128, 64), predictor=NARROW, queue_size=2048),
    "BYOL": partial(models.BYOL, projector=NARROW, predictor=NARROW, momentum=0.9),
    "SimSiam": partial(models.SimSiam, projector=WIDE, predictor=(32, 128)),
    "BarlowTwins": partial(models.BarlowTwins, projector=WIDE),
    "VICReg": partial(models.VICReg, projector=WIDE),
    "SwAV": partial(models.SwAV, projector=NARROW, prototypes=60),
    "DINO": partial(
        models.DINO,
        projector=(128, 128, 64),
        prototypes=256,
        momentum=0.98,
        batch_norm=True,
        teacher_temperature=0.04,
    ),
    "MaskedAutoencoder": partial(
        models.MaskedAutoencoder, decoder_dim=32, decoder_depth=1, decoder_heads=4, mask_ratio=0.75
    ),
    "DualEncoder": partial(models.DualEncoder, dim=64),
}
MULTI_CROP, SCHEDULED = ("SwAV", "DINO"), ("MoCoV3", "BYOL", "DINO")


def make(name: str, steps: int, seed: int = 0) -> keras.Model:
    """A small scheme by name, ready to be compiled.

    Args:
        name: of `SCHEMES`.
        steps: of the whole training, for what rises or thaws over it.
        seed: of the views; initial weights come from the global one.
    """
    options = {}
    if name in SCHEDULED:
        options["total_steps"] = steps
    if name in MULTI_CROP:
        options["freeze_steps"] = max(1, steps // 40)  # an epoch of DINO's 100 is less, SwAV's 313 steps too
    if name == "DualEncoder":
        return SCHEMES[name](small_encoder(), small_encoder(), **options)
    if name == "MaskedAutoencoder":
        crop = RandomResizedCrop(SIDE, (0.4, 1.0), seed=seed)
        return SCHEMES[name](small_vit(), crop, seed=seed, **options)
    augmentation = crops(seed) if name in MULTI_CROP else two_views(seed)
    return SCHEMES[name](small_encoder(), augmentation, **options)


def encoder_of(scheme: keras.Model) -> keras.Model:
    """The encoder that a scheme has trained; of two the first."""
    return scheme.first if isinstance(scheme, models.DualEncoder) else scheme.encoder
