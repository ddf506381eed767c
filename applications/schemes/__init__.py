"""The training schemes of `contrast.models` side by side, and their training from the command line."""

from applications.schemes.corpus import Digits, digits, read_folder
from applications.schemes.small import SCHEMES, Recipe, make, small_encoder, small_vit

__all__ = [
    "SCHEMES",
    "Digits",
    "Recipe",
    "digits",
    "make",
    "read_folder",
    "small_encoder",
    "small_vit",
]
