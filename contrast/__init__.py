"""Contrastive and self-supervised learning for Keras 3, on TensorFlow, JAX and PyTorch."""

from contrast import (
    augmentation,
    callbacks,
    data,
    decoding,
    distribution,
    encoders,
    evaluation,
    features,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    retrieval,
    transfer,
)

__version__ = "0.1.0"

__all__ = [
    "augmentation",
    "callbacks",
    "data",
    "decoding",
    "distribution",
    "encoders",
    "evaluation",
    "features",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "retrieval",
    "transfer",
]
