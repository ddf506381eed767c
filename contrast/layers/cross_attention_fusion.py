import math
from typing import Any

import keras
from keras import ops

from contrast.ops.shapes import agree
from contrast.seeds import apart
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class CrossAttentionFusion(keras.Layer):
    r"""Lets the tokens of an anchor read the tokens of its companions, of which there may be none.

    With the anchor's tokens $q$ and the tokens $c$ of all present companions side by side, each layer does
    $$q \leftarrow q + W_o\, \mathrm{softmax}\!\left(\frac{(W_q \mathrm{LN}_q(q))
    (W_k \mathrm{LN}_{kv}(c))^\top}{\sqrt{d_h}}\right) W_v \mathrm{LN}_{kv}(c), \qquad
    q \leftarrow q + \mathrm{FFN}(\mathrm{LN}(q)),$$
    and after the last one comes a layer normalisation. The anchor does not attend to itself, companions stay
    as they are. Keys have no bias: the softmax does not see it.

    An anchor without companions leaves exactly as it came, not even normalised. What stands in the slot of an
    absent companion, NaN included, changes neither values nor gradients.

    Use it to read further views, earlier visits or neighbouring frames where their number differs from sample
    to sample.

    Args:
        depth: number of layers.
        heads: attention heads.
        head_dim: width of a head; `None`: a quarter of the tokens' width, whatever the number of heads.
        mlp_dim: width of the hidden layer of FFN (exact GELU); `None`: the tokens' width.
        dropout: after attention and after FFN.
        seed: int or `None`, of the dropout.

    Call: `anchors` `(batch, tokens, dim)`, `companions` `(batch, slots, companion_tokens, dim)` and
        `companion_mask` `(batch, slots)`, True where a companion is present, or `None`: all are. Returns
        `(batch, tokens, dim)`. `attention(anchors, companions, companion_mask)` says where it looked.

    Raises:
        ValueError: if a number is too small, or the shapes do not fit together.

    Example:

    >>> fusion = contrast.layers.CrossAttentionFusion(depth=2, heads=2)
    >>> anchors, companions = np.ones((2, 5, 8), "float32"), np.ones((2, 3, 5, 8), "float32")
    >>> present = np.array([[True, True, False], [False, False, False]])
    >>> fused = keras.ops.convert_to_numpy(fusion(anchors, companions, present))
    >>> fused.shape, bool((fused[1] == anchors[1]).all())
    ((2, 5, 8), True)

    Reference: [Liu et al., 2025](https://arxiv.org/abs/2502.20056), multi-view longitudinal fusion.
    """

    def __init__(
        self,
        depth: int = 3,
        heads: int = 8,
        head_dim: int | None = None,
        mlp_dim: int | None = None,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, number in (
            ("depth", depth),
            ("heads", heads),
            ("head_dim", head_dim),
            ("mlp_dim", mlp_dim),
        ):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        self.supports_masking = True
        self.depth, self.heads, self.head_dim, self.mlp_dim = depth, heads, head_dim, mlp_dim
        self.dropout, self.seed = dropout, seed
        self.blocks = [
            CrossAttentionBlock(
                heads,
                head_dim,
                mlp_dim,
                dropout,
                block_seed,
                name=f"block_{number}",
                dtype=self.dtype_policy,
            )
            for number, block_seed in enumerate(apart(seed, depth))
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm", dtype=self.dtype_policy)

    def build(
        self, anchors_shape: Shape, companions_shape: Shape, companion_mask_shape: Shape | None = None
    ) -> None:
        _check_shapes(anchors_shape, companions_shape, companion_mask_shape)
        shape = (None, None, anchors_shape[-1])
        for layer in (*self.blocks, self.norm):
            layer.build(shape)

    def call(
        self,
        anchors: Tensor,
        companions: Tensor,
        companion_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        _check_shapes(anchors.shape, companions.shape, getattr(companion_mask, "shape", None))
        context, visible, accompanied = _side_by_side(companions, companion_mask)
        x = anchors
        for block in self.blocks:
            x, _ = block(x, context, visible, training=training)
        x = self.norm(x)
        return x if accompanied is None else ops.where(accompanied[:, None, None], x, anchors)

    def attention(self, anchors: Tensor, companions: Tensor, companion_mask: Tensor | None = None) -> Tensor:
        """How much each token of the anchor looks at each token of the companions, mean over the heads.

        Takes what a call takes.

        Returns:
            float32 tensor `(batch, depth, tokens, slots, companion_tokens)`; for each layer and token of the
            anchor it sums to 1 over slots and companion tokens. Absent companions have 0, and so has all of
            an anchor without companions.
        """
        anchors, companions = (
            ops.cast(ops.convert_to_tensor(x), self.compute_dtype) for x in (anchors, companions)
        )
        _check_shapes(anchors.shape, companions.shape, getattr(companion_mask, "shape", None))
        if not self.built:
            self.build(anchors.shape, companions.shape)
        context, visible, accompanied = _side_by_side(companions, companion_mask)
        x, layers = anchors, []
        for block in self.blocks:
            x, weights = block(x, context, visible, training=False)
            layers.append(ops.mean(weights, axis=1))
        weights = ops.stack(layers, axis=1)
        weights = ops.reshape(weights, (*ops.shape(weights)[:3], *ops.shape(companions)[1:3]))
        if accompanied is None:
            return weights
        return ops.where(accompanied[:, None, None, None, None], weights, ops.zeros_like(weights))

    def compute_output_shape(
        self, anchors_shape: Shape, companions_shape: Shape, companion_mask_shape: Shape | None = None
    ) -> Shape:
        return tuple(anchors_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "heads": self.heads,
            "head_dim": self.head_dim,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
            "seed": self.seed,
        }


class CrossAttentionBlock(keras.Layer):
    """One layer of `CrossAttentionFusion`.

    Call: tokens `(batch, tokens, dim)`, context `(batch, source, dim)` and which of it is visible, bool
        `(batch, source)`, or `None`. Returns the new tokens and the weights, float32
        `(batch, heads, tokens, source)`; where nothing is visible these are equal, and finite.
    """

    def __init__(
        self,
        heads: int,
        head_dim: int | None = None,
        mlp_dim: int | None = None,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.head_dim, self.mlp_dim = heads, head_dim, mlp_dim
        self.dropout = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)

    def build(self, tokens_shape: Shape) -> None:
        dim = tokens_shape[-1]
        head_dim, hidden = self.head_dim or dim // 4, self.mlp_dim or dim
        if not head_dim:
            raise ValueError(f"head_dim=None takes a quarter of the tokens' width, which is only {dim}.")

        def dense(width, name, inputs=dim, **kwargs):
            layer = keras.layers.Dense(width, name=name, dtype=self.dtype_policy, **kwargs)
            layer.build((None, None, inputs))
            return layer

        def norm(name):
            layer = keras.layers.LayerNormalization(epsilon=1e-5, name=name, dtype=self.dtype_policy)
            layer.build((None, None, dim))
            return layer

        inner = self.heads * head_dim
        self.query_norm, self.context_norm = norm("query_norm"), norm("context_norm")
        self.mlp_norm = norm("mlp_norm")
        self.query, self.key = dense(inner, "query"), dense(inner, "key", use_bias=False)
        self.value, self.output_projection = dense(inner, "value"), dense(dim, "output", inner)
        self.hidden, self.contract = dense(hidden, "hidden"), dense(dim, "contract", hidden)
        self.built = True

    def _heads_of(self, x):
        x = ops.reshape(x, (*ops.shape(x)[:2], self.heads, x.shape[-1] // self.heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def call(
        self, tokens: Tensor, context: Tensor, visible: Tensor | None = None, training: bool | None = None
    ) -> tuple[Tensor, Tensor]:
        context = self.context_norm(context)
        queries = self._heads_of(self.query(self.query_norm(tokens)))
        keys, values = self._heads_of(self.key(context)), self._heads_of(self.value(context))
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2)))
        scores = ops.cast(scores, "float32") / math.sqrt(queries.shape[-1])
        if visible is not None:
            # Not minus infinity: a softmax over nothing would have the gradient NaN, used or not.
            scores = ops.where(visible[:, None, None, :], scores, -1e9)
        weights = ops.softmax(scores)
        attended = ops.transpose(ops.matmul(ops.cast(weights, values.dtype), values), (0, 2, 1, 3))
        attended = ops.reshape(attended, (*ops.shape(attended)[:2], self.heads * queries.shape[-1]))
        x = tokens + self.dropout(self.output_projection(attended), training=training)
        hidden = ops.gelu(self.hidden(self.mlp_norm(x)), approximate=False)
        return x + self.dropout(self.contract(hidden), training=training), weights


def _side_by_side(companions, companion_mask):
    """Tokens of all slots in one row, which of them are visible, and which anchors have a companion.

    Absent companions become zeros before anything reads them: NaN times a weight of 0 is NaN.
    """
    batch, slots, tokens, dim = ops.shape(companions)
    if companion_mask is None:
        return ops.reshape(companions, (batch, slots * tokens, dim)), None, None
    present = ops.cast(ops.convert_to_tensor(companion_mask), "bool")
    companions = ops.where(present[:, :, None, None], companions, ops.zeros_like(companions))
    visible = ops.reshape(ops.repeat(present[:, :, None], tokens, axis=2), (batch, slots * tokens))
    return ops.reshape(companions, (batch, slots * tokens, dim)), visible, ops.any(present, axis=1)


def _check_shapes(anchors, companions, companion_mask):
    anchors, companions = tuple(anchors), tuple(companions)
    if (
        len(anchors) != 3
        or not agree(companions, (anchors[0], None, None, anchors[-1]))
        or 0 in companions[1:3]
    ):
        raise ValueError(
            "anchors must be (batch, tokens, dim) and companions (batch, slots, companion_tokens, dim) with "
            f"the same batch and dim and at least one slot, got shapes {anchors} and {companions}."
        )
    if companion_mask is not None and not agree(companion_mask, companions[:2]):
        raise ValueError(
            f"companion_mask must be (batch, slots) = {companions[:2]}, got shape {tuple(companion_mask)}."
        )
