"""Names for what stands in signatures.

The tensors of TensorFlow, JAX and PyTorch have no type in common: `Tensor` tells the reader what is meant,
and is anything to a type checker. What NumPy reads is a `numpy.typing.ArrayLike`.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the backend in use, or what `keras.ops.convert_to_tensor` makes one of."""

Shape: TypeAlias = Sequence[int | None]
"""Sizes of the axes; `None` for one that is not known, as the batch's mostly is."""

TileSize: TypeAlias = int | Literal["auto"] | None
"""Rows of a matrix that are held at once; `"auto"`: what suits the device; `None`: all of them."""
