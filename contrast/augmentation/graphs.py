"""Views of graphs: fewer edges, fewer features."""

from typing import Any

import keras
from keras import ops

from contrast.augmentation.drawing_layer import DrawingLayer, checked_rate
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class RandomAdjacencyDrop(DrawingLayer):
    """Drops each edge of a graph, given as an adjacency matrix, with a probability; loops stay.

    Args:
        rate: probability, from 0 to 1, that an edge is dropped.
        symmetric: both directions of an edge stay or go together, so that a symmetric matrix stays symmetric.
            `False` draws for each entry.
        seed: int or `None`.

    Call: matrices `(batch, nodes, nodes)`, weighted or not, to such with zeros where edges were dropped;
        unchanged with `training=False`.

    Raises:
        ValueError: if `rate` is outside 0 to 1, or matrices are not square.

    Example:

    >>> drop = contrast.augmentation.RandomAdjacencyDrop(1.0)
    >>> keras.ops.convert_to_numpy(drop(np.ones((1, 2, 2), "float32"), training=True)).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]

    Reference: [Zhu et al., 2020](https://arxiv.org/abs/2006.04131), section 3.2.
    """

    arguments = ("rate", "symmetric")
    wanted = "adjacency matrices (batch, nodes, nodes)"

    def __init__(
        self, rate: float = 0.2, symmetric: bool = True, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate, self.symmetric = checked_rate(rate), symmetric

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if shape[1] != shape[2]:
            raise ValueError(f"RandomAdjacencyDrop needs {self.wanted}, got shape {tuple(shape)}.")

    def draw(self, adjacency: Tensor) -> Tensor:
        noise = self.uniform(ops.shape(adjacency))
        if self.symmetric:
            upper = ops.triu(noise, 1)
            noise = upper + ops.transpose(upper, (0, 2, 1))
        stays = ops.logical_or(noise >= self.rate, ops.eye(adjacency.shape[1], dtype="bool"))
        return ops.where(stays, adjacency, ops.zeros_like(adjacency))


@keras.saving.register_keras_serializable(package="contrast")
class RandomEdgeDrop(DrawingLayer):
    """Drops each edge of a graph, given as a list of edges, with a probability: its weight becomes 0.

    The list keeps its length, so that shapes are static: multiply messages along the edges by the weights.

    Args:
        rate: probability, from 0 to 1, that an edge is dropped.
        nodes: for undirected graphs whose edges are listed in both directions, the number of nodes, up to
            46,340: both directions, and repetitions, stay or go together. `None` draws for each row of the
            list.
        seed: int or `None`.

    Call: edges `(batch, edges, 2)` of node numbers to weights `(batch, edges)`, 1 or 0. With `training=False`
        all are 1.

    Raises:
        ValueError: if `rate` is outside 0 to 1, `nodes` outside 1 to 46,340, or edges are no integers or have
            another shape.

    Example:

    >>> drop = contrast.augmentation.RandomEdgeDrop(0.5, nodes=3)
    >>> first, back = keras.ops.convert_to_numpy(drop(np.array([[[0, 2], [2, 0]]]), training=True))[0]
    >>> bool(first == back)
    True

    Reference: [Zhu et al., 2020](https://arxiv.org/abs/2006.04131), section 3.2.
    """

    arguments = ("rate", "nodes")
    wanted = "edges (batch, edges, 2)"

    def __init__(
        self, rate: float = 0.2, nodes: int | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        if nodes is not None and not 1 <= nodes <= 46340:  # the square fits into int32
            raise ValueError(f"nodes must be None or from 1 to 46340, got {nodes}.")
        self.rate, self.nodes = checked_rate(rate), nodes

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if shape[2] != 2:
            raise ValueError(f"RandomEdgeDrop needs {self.wanted}, got shape {tuple(shape)}.")

    def checked(self, edges: Tensor) -> Tensor:
        dtype = keras.backend.standardize_dtype(edges.dtype)
        if "int" not in dtype:
            raise ValueError(f"RandomEdgeDrop needs edges of integer node numbers, got {dtype}.")
        return ops.cast(edges, "int32")

    def draw(self, edges: Tensor) -> Tensor:
        noise = self.uniform(ops.shape(edges)[:2])
        if self.nodes is not None:
            noise = ops.take_along_axis(noise, _first_alike(edges, self.nodes), axis=1)
        return ops.cast(noise >= self.rate, self.compute_dtype)

    def at_inference(self, edges: Tensor) -> Tensor:
        return ops.ones(ops.shape(edges)[:2], dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        return tuple(input_shape[:2])


@keras.saving.register_keras_serializable(package="contrast")
class RandomFeatureMask(DrawingLayer):
    """Sets some feature dimensions to zero, for all nodes of a graph alike.

    Args:
        rate: probability, from 0 to 1, that a dimension is masked.
        seed: int or `None`.

    Call: features `(batch, nodes, dim)`, shape kept; unchanged with `training=False`.

    Raises:
        ValueError: if `rate` is outside 0 to 1, or features have another rank.

    Example:

    >>> masked = contrast.augmentation.RandomFeatureMask(0.3)
    >>> tuple(masked(np.ones((4, 10, 8), "float32"), training=True).shape)
    (4, 10, 8)

    Reference: [Zhu et al., 2020](https://arxiv.org/abs/2006.04131), section 3.2.
    """

    arguments = ("rate",)
    wanted = "features (batch, nodes, dim)"

    def __init__(self, rate: float = 0.3, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = checked_rate(rate)

    def draw(self, features: Tensor) -> Tensor:
        stays = self.uniform((ops.shape(features)[0], 1, features.shape[2])) >= self.rate
        return ops.where(stays, features, ops.zeros_like(features))


def _first_alike(edges, nodes):
    """Int32 `(batch, edges)`: for each edge a place that all edges between its two nodes share."""
    pair = ops.min(edges, axis=2) * nodes + ops.max(edges, axis=2)
    order = ops.argsort(pair, axis=1)
    ordered = ops.take_along_axis(pair, order, axis=1)
    new = ops.cast(ordered[:, 1:] != ordered[:, :-1], "int32")
    group = ops.pad(ops.cumsum(new, axis=1), ((0, 0), (1, 0)))
    return ops.take_along_axis(group, ops.argsort(order, axis=1), axis=1)
