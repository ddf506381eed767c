"""Matrices of embeddings: their checks, unit length, the largest entries of their rows."""

from typing import Any

import keras
import numpy as np


def as_array(values: Any) -> np.ndarray:
    """A NumPy array of what may be a tensor of any backend."""
    return keras.ops.convert_to_numpy(values) if keras.ops.is_tensor(values) else np.asanyarray(values)


def finite_matrix(name: str, values: Any, first: int = 0) -> np.ndarray:
    """`values` as float32 `(rows, dim)`; `first` is the number of the first row, for the message."""
    values = np.asarray(as_array(values), "float32")
    if values.ndim != 2:
        raise ValueError(f"{name} must be (rows, dim), got shape {values.shape}.")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise ValueError(f"{name} must be finite, got NaN or infinity in row {first + bad[0]}.")
    return values


def unit(vectors: np.ndarray) -> np.ndarray:
    """Floats `(..., dim)` scaled to unit length in their own dtype; a zero vector stays zero."""
    peak = np.abs(vectors).max(axis=-1, keepdims=True)
    # Tiny and huge entries must not leave the range of the dtype when they are squared.
    vectors = vectors / np.where(peak == 0, 1, peak)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)


def largest(tile: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest entries of each row, in ascending order; of equal entries the first ones."""
    if k == 1:
        return tile.argmax(axis=1)[:, None]
    columns = np.argpartition(tile, -k, axis=1)[:, -k:]
    smallest = np.take_along_axis(tile, columns, axis=1).min(axis=1, keepdims=True)
    tied = (tile >= smallest).sum(axis=1) > k
    if tied.any():
        columns[tied] = np.argsort(-tile[tied], axis=1, kind="stable")[:, :k]
    return np.sort(columns, axis=1)


def most_similar_first(similarities: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest similarities of each query and their rows; of equal ones the first."""
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, order, axis=1), np.take_along_axis(rows, order, axis=1)
