"""The perceptrons behind an encoder, given as widths or as a layer."""

from collections.abc import Sequence
from typing import Any

import keras

from contrast.layers import ProjectionHead


def make_head(
    head: Sequence[int] | keras.Layer, *, last_norm: str | None = None, dtype: Any = None, **options: Any
) -> keras.Layer:
    """The layer itself, or dense layers of these widths in the style of a paper.

    Args:
        head: a layer, or widths.
        last_norm: `None`; `"affine"`: batch normalisation after the last layer too; `"plain"`: likewise,
            without scale and shift.
        dtype: policy of the layers that are made.
        **options: of `contrast.layers.ProjectionHead`.
    """
    if isinstance(head, keras.Layer):
        return head
    layers = [ProjectionHead(tuple(head), dtype=dtype, **options)]
    if last_norm is not None:
        affine = last_norm == "affine"
        layers.append(
            keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, center=affine, scale=affine, dtype=dtype
            )
        )
    return layers[0] if len(layers) == 1 else keras.Sequential(layers)


def head_dim(head: keras.Layer, features: int) -> int:
    """Builds a head on features of this width, and returns the width of its output."""
    shape = (None, features)
    if not head.built:
        head.build(shape)
    return head.compute_output_shape(shape)[-1]


def build_predictor(predictor: keras.Layer, embedding_dim: int) -> None:
    """Builds a predictor; ValueError unless it ends in the width of the embeddings that it predicts."""
    dim = head_dim(predictor, embedding_dim)
    if dim != embedding_dim:
        raise ValueError(
            f"predictor must end in the projector's width, got {dim} for embeddings of {embedding_dim}."
        )
