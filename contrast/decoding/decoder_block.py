import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from contrast.typing import Shape, Tensor


class DecoderBlock(keras.Layer):
    r"""Self-attention, attention to features, a perceptron: each behind a normalisation, beside a shortcut.

    $$y = x + \mathrm{self}(\mathrm{norm}(x)), \quad z = y + \mathrm{cross}(\mathrm{norm}(y), f), \quad
    w = z + \mathrm{mlp}(\mathrm{norm}(z)).$$

    Keys have no bias: the softmax does not see it. A row that has no feature to attend to gets the attention
    0.

    Args:
        heads: attention heads; they divide the width.
        mlp_ratio: width of the hidden layer over the width of the tokens.
        activation: of the hidden layer.
        dropout: after each attention and after the perceptron.
        seed: int or `None`, of the dropout.

    Call: tokens `(rows, length, dim)`; `self_inputs`, the queries, keys and values of the self-attention,
        each `(rows, heads, ..., dim / heads)`; `seen`, bool, which keys each query sees; `memory`, keys
        and values of the features, `(items, heads, source, dim / heads)`; `real`, bool `(items, source)`,
        which features are no padding, or `None`. `rows` is a multiple of `items`: the rows of an item, such
        as its beams, stand together and share its memory. Returns the tokens and the weights over the
        features, `(items, heads, rows / items * length, source)`.
    """

    def __init__(
        self,
        heads: int,
        mlp_ratio: int = 4,
        activation: str | Callable[[Any], Any] = "gelu",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.mlp_ratio, self.activation = heads, mlp_ratio, activation
        self.dropout = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)

    def build(self, tokens_shape: Shape, features_shape: Shape) -> None:
        dim = tokens_shape[-1]

        def dense(width, shape, name, **kwargs):
            layer = keras.layers.Dense(width, name=name, dtype=self.dtype_policy, **kwargs)
            layer.build(shape)
            return layer

        def norm(name):
            layer = keras.layers.LayerNormalization(epsilon=1e-6, name=name, dtype=self.dtype_policy)
            layer.build(tokens_shape)
            return layer

        hidden = int(dim * self.mlp_ratio)
        self.self_norm, self.cross_norm, self.mlp_norm = (
            norm("self_norm"),
            norm("cross_norm"),
            norm("mlp_norm"),
        )
        self.self_query = dense(dim, tokens_shape, "self_query")
        self.self_key = dense(dim, tokens_shape, "self_key", use_bias=False)
        self.self_value = dense(dim, tokens_shape, "self_value")
        self.self_output = dense(dim, tokens_shape, "self_output")
        self.cross_query = dense(dim, tokens_shape, "cross_query")
        self.cross_key = dense(dim, features_shape, "cross_key", use_bias=False)
        self.cross_value = dense(dim, features_shape, "cross_value")
        self.cross_output = dense(dim, tokens_shape, "cross_output")
        self.hidden = dense(hidden, tokens_shape, "hidden", activation=self.activation)
        self.contract = dense(dim, (*tokens_shape[:-1], hidden), "contract")

    def _heads(self, x):
        x = ops.reshape(x, (*ops.shape(x)[:2], self.heads, x.shape[-1] // self.heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def self_inputs(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens `(rows, length, dim)`."""
        x = self.self_norm(tokens)
        return tuple(self._heads(layer(x)) for layer in (self.self_query, self.self_key, self.self_value))

    def memory(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of features `(items, source, dim)`."""
        return self._heads(self.cross_key(features)), self._heads(self.cross_value(features))

    def call(
        self,
        tokens: Tensor,
        self_inputs: tuple[Tensor, Tensor, Tensor],
        seen: Tensor,
        memory: tuple[Tensor, Tensor],
        real: Tensor | None = None,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        def merged(attended):
            return ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), ops.shape(tokens))

        attended, _ = attend(*self_inputs, seen)
        x = tokens + self.dropout(self.self_output(merged(attended)), training=training)
        queries = self.cross_query(self.cross_norm(x))
        queries = ops.reshape(queries, (ops.shape(memory[0])[0], -1, queries.shape[-1]))
        mask = None if real is None else real[:, None, None, :]
        attended, weights = attend(self._heads(queries), *memory, mask)
        x = x + self.dropout(self.cross_output(merged(attended)), training=training)
        return x + self.dropout(self.contract(self.hidden(self.mlp_norm(x))), training=training), weights


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Attention in every head and its float32 weights, all 0 where the mask lets nothing through."""
    queries = queries / math.sqrt(queries.shape[-1])
    scores = ops.cast(ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))), "float32")
    if mask is not None:
        scores = ops.where(mask, scores, -1e9)
    weights = ops.softmax(scores)
    if mask is not None:
        weights = ops.where(mask, weights, 0.0)
    return ops.matmul(ops.cast(weights, values.dtype), values), weights
