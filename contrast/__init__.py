"""Contrastive and self-supervised learning for Keras 3, on TensorFlow, JAX and PyTorch."""

from contrast import augmentation, data, encoders, layers, losses, ops, optimizers

__version__ = "0.1.0"

__all__ = ["augmentation", "data", "encoders", "layers", "losses", "ops", "optimizers"]
