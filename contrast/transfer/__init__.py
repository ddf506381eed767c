"""Weights and encoders from other models, from files, and from Keras 2; encoders into files for serving."""

from contrast.transfer.copy_weights import copy_weights
from contrast.transfer.export_encoder import export_encoder
from contrast.transfer.keras2 import load_keras2
from contrast.transfer.keras2_weights import copy_weights_from_keras2
from contrast.transfer.report import TransferReport
from contrast.transfer.weight_names import weight_names

__all__ = [
    "TransferReport",
    "copy_weights",
    "copy_weights_from_keras2",
    "export_encoder",
    "load_keras2",
    "weight_names",
]
