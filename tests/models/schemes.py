"""Tiny versions of all schemes, and data for them."""

import keras
import numpy as np

from contrast import models
from contrast.augmentation import MultiView
from contrast.encoders import ConvNet, ViT

rng = np.random.default_rng(0)
IMAGES = rng.random((8, 8, 8, 1)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1], "int32")
VIEWS = rng.random((8, 2, 8, 8, 1)).astype("float32")
SMALL = rng.random((8, 2, 4, 4, 1)).astype("float32")
CAPTIONS = rng.normal(size=(8, 6)).astype("float32")


def conv():
    encoder = ConvNet((4, 8))
    encoder.build((None, 8, 8, 1))
    return encoder


def dense(width=6):
    """A small encoder that is not built yet."""
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(width)])


def vit(**options):
    return ViT(**{"patch_size": 2, "dim": 8, "depth": 1, "heads": 2, **options})


def noise(stddev=0.1, seed=0):
    """Two views with noise."""
    return MultiView(keras.layers.GaussianNoise(stddev, seed=seed), 2)


HEADS = {"projector": (8, 8)}
BOTH = {"projector": (8, 8), "predictor": (12, 8)}
OF_PROTOTYPES = {"prototypes": 5, "freeze_steps": 0}
SCHEMES = {
    "SimCLR": (models.SimCLR, HEADS),
    "DecoupledSimCLR": (models.DecoupledSimCLR, {**HEADS, "weighting": "von_mises"}),
    "SupCon": (models.SupCon, HEADS),
    "MoCoV2": (models.MoCoV2, {**HEADS, "queue_size": 16}),
    "MoCoV3": (models.MoCoV3, BOTH),
    "NNCLR": (models.NNCLR, {**BOTH, "queue_size": 16}),
    "BYOL": (models.BYOL, BOTH),
    "SimSiam": (models.SimSiam, BOTH),
    "BarlowTwins": (models.BarlowTwins, HEADS),
    "VICReg": (models.VICReg, HEADS),
    "SwAV": (models.SwAV, {**HEADS, **OF_PROTOTYPES, "queue_size": 16}),
    "DINO": (models.DINO, {**HEADS, **OF_PROTOTYPES, "warmup_steps": 2, "total_steps": 10}),
}
MULTI_CROP = ("SwAV", "DINO")


def make(name, encoder=None, **options):
    """A scheme by name, with a small convolutional encoder unless another is given."""
    if name == "MaskedAutoencoder":
        decoder = {"decoder_dim": 8, "decoder_depth": 1, "decoder_heads": 2, "seed": 0}
        return models.MaskedAutoencoder(encoder or vit(), **{**decoder, **options})
    if name in ("DualEncoder", "DualEncoder sigmoid"):
        objective = name.partition(" ")[2] or "softmax"
        return models.DualEncoder(encoder or conv(), dense(), **{"dim": 4, "objective": objective, **options})
    scheme, small = SCHEMES[name]
    return scheme(encoder or conv(), **{**small, **options})


def data(name):
    """What `fit` takes."""
    if name == "MaskedAutoencoder":
        return IMAGES
    if name.startswith("DualEncoder"):
        return (IMAGES, CAPTIONS)
    return (VIEWS, SMALL) if name in MULTI_CROP else VIEWS


def samples(name):
    """What `predict` takes."""
    return data(name) if name.startswith("DualEncoder") else IMAGES


ALL = (*SCHEMES, "MaskedAutoencoder", "DualEncoder", "DualEncoder sigmoid")
