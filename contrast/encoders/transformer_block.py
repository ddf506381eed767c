import math
from typing import Any

import keras
from keras import ops

from contrast.seeds import apart
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class TransformerBlock(keras.Layer):
    r"""Self-attention and a perceptron, each behind a layer normalisation and beside a shortcut.

    $$y = x + \mathrm{attention}(\mathrm{norm}(x)), \quad z = y + \mathrm{mlp}(\mathrm{norm}(y)).$$

    Keys have no bias: the softmax does not see it.

    Args:
        heads: attention heads; they divide the width.
        mlp_ratio: width of the hidden layer over the width of the tokens.
        dropout: after attention and after the perceptron.
        seed: int or `None`, of the dropout.

    Call: tokens `(batch, tokens, dim)`, shape kept. `mask` `(batch, tokens)` is True at tokens that others
        may attend to. `attention_inputs(tokens)` gives the queries, keys and values.

    Raises:
        ValueError: if `heads` is below 1 or does not divide the width.

    Example:

    >>> block = contrast.encoders.TransformerBlock(heads=2)
    >>> tuple(block(np.zeros((4, 10, 16), "float32")).shape)
    (4, 10, 16)

    Reference: [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); normalisation first as in
        [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929).
    """

    def __init__(
        self, heads: int, mlp_ratio: int = 4, dropout: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if heads < 1:
            raise ValueError(f"heads must be at least 1, got {heads}.")
        self.supports_masking = True
        self.heads, self.mlp_ratio, self.rate, self.seed = heads, mlp_ratio, dropout, seed
        self.dropout = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        dim = input_shape[-1]
        if dim % self.heads:
            raise ValueError(f"heads must divide the width of the tokens, got {self.heads} heads for {dim}.")

        def dense(width, name, **kwargs):
            return keras.layers.Dense(width, name=name, dtype=self.dtype_policy, **kwargs)

        def norm(name):
            return keras.layers.LayerNormalization(epsilon=1e-6, name=name, dtype=self.dtype_policy)

        hidden = int(dim * self.mlp_ratio)
        self.attention_norm, self.mlp_norm = norm("attention_norm"), norm("mlp_norm")
        self.query, self.key = dense(dim, "query"), dense(dim, "key", use_bias=False)
        self.value, self.output_projection = dense(dim, "value"), dense(dim, "output")
        self.hidden, self.contract = dense(hidden, "hidden", activation="gelu"), dense(dim, "contract")
        projections = (self.query, self.key, self.value, self.output_projection)
        for layer in (self.attention_norm, self.mlp_norm, *projections, self.hidden):
            layer.build(input_shape)
        self.contract.build((*input_shape[:-1], hidden))

    def attention_inputs(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each `(batch, heads, tokens, dim / heads)`."""
        x = self.attention_norm(tokens)
        shape = (*ops.shape(x)[:2], self.heads, x.shape[-1] // self.heads)
        return tuple(
            ops.transpose(ops.reshape(projection(x), shape), (0, 2, 1, 3))
            for projection in (self.query, self.key, self.value)
        )

    def _attend(self, queries, keys, values, mask):
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2)))
        scores = ops.cast(scores, "float32") / math.sqrt(queries.shape[-1])
        if mask is not None:
            scores = ops.where(ops.cast(mask, "bool")[:, None, None, :], scores, -1e9)
        return ops.matmul(ops.cast(ops.softmax(scores), values.dtype), values)

    def call(self, tokens: Tensor, mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        attended = self._attend(*self.attention_inputs(tokens), mask)
        attended = ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), ops.shape(tokens))
        x = tokens + self.dropout(self.output_projection(attended), training=training)
        return x + self.dropout(self.contract(self.hidden(self.mlp_norm(x))), training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "dropout": self.rate,
            "seed": self.seed,
        }


def transformer_blocks(
    depth: int, heads: int, mlp_ratio: int, dropout: float, seed: int | None, dtype: Any
) -> list[TransformerBlock]:
    """`depth` blocks named `block_0`, `block_1` ...; each draws its dropout from a seed of its own."""
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}.")
    return [
        TransformerBlock(
            heads,
            mlp_ratio,
            dropout,
            block_seed,
            name=f"block_{number}",
            dtype=dtype,
        )
        for number, block_seed in enumerate(apart(seed, depth))
    ]
