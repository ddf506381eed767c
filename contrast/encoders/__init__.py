"""Small encoders that train on a laptop."""

from contrast.encoders.conv_net import ConvNet

__all__ = ["ConvNet"]
