"""Small encoders that train on a laptop."""

from contrast.encoders.conv_net import ConvNet
from contrast.encoders.resnet import ResNet
from contrast.encoders.text_transformer import TextTransformer
from contrast.encoders.transformer_block import TransformerBlock
from contrast.encoders.vit import ViT

__all__ = ["ConvNet", "ResNet", "TextTransformer", "TransformerBlock", "ViT"]
