from typing import Any

import keras
from keras import ops

from contrast.encoders.transformer_block import transformer_blocks
from contrast.typing import Shape, Tensor

POOLINGS = ("mean", "first", "last")


@keras.saving.register_keras_serializable(package="contrast")
class TextTransformer(keras.Model):
    """A small transformer over token ids; nothing attends to padding, and no feature sees it.

    Args:
        vocabulary_size: ids are from 0 to `vocabulary_size - 1`, padding among them.
        dim: width of the tokens and of the feature vector.
        depth: number of blocks.
        heads: attention heads; they divide `dim`.
        mlp_ratio: width of the blocks' hidden layer over `dim`.
        max_length: most tokens in a text.
        pooling: `"mean"` over the real tokens; `"first"`: the feature of the first token; or `"last"`: of the
            last one that is no padding.
        dropout: in the blocks.
        seed: int or `None`, of the dropout.
        padding_id: the id of padding.
        segments: how many kinds of text an input may consist of, such as question and passage; each has an
            embedding that is added to its tokens. With 1 there is no such embedding.

    Call: ids `(batch, length)`, integers, to features `(batch, dim)`; a text of padding only has the feature
        0. With several segments also a dict of `"ids"` and `"segment_ids"`, integers `(batch, length)` from 0
        to `segments - 1`; ids alone are all of segment 0. `token_features(ids, segment_ids=None)` gives
        `(batch, length, dim)`, 0 at padding. In a functional model ids come from
        `keras.Input((length,), dtype="int32")`.

    Raises:
        ValueError: if a number is too small, `padding_id` is no id of the vocabulary, `heads` does not divide
            `dim`, `pooling` is unknown, ids are not integers `(batch, length)`, or longer than `max_length`,
            or segment ids are given to an encoder of one segment or do not have the shape of ids.

    Example:

    >>> encoder = contrast.encoders.TextTransformer(vocabulary_size=50, dim=16, depth=2, heads=2)
    >>> ids = np.array([[7, 12, 3, 0, 0], [4, 9, 9, 21, 2]])
    >>> tuple(encoder(ids).shape)
    (2, 16)
    >>> tuple(encoder.token_features(ids).shape)
    (2, 5, 16)
    """

    def __init__(
        self,
        vocabulary_size: int,
        dim: int = 64,
        depth: int = 2,
        heads: int = 4,
        mlp_ratio: int = 4,
        max_length: int = 64,
        pooling: str = "mean",
        dropout: float = 0.0,
        seed: int | None = None,
        padding_id: int = 0,
        segments: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if vocabulary_size < 2:
            raise ValueError(
                f"vocabulary_size must be at least 2, padding and a token, got {vocabulary_size}."
            )
        for name, number in (
            ("dim", dim),
            ("heads", heads),
            ("max_length", max_length),
            ("segments", segments),
        ):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        if dim % heads:
            raise ValueError(f"heads must divide dim, got {heads} heads and dim {dim}.")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be {', '.join(map(repr, POOLINGS))}, got {pooling!r}.")
        if not 0 <= padding_id < vocabulary_size:
            raise ValueError(
                f"padding_id must be from 0 to vocabulary_size - 1 = {vocabulary_size - 1}, got {padding_id}."
            )
        self.vocabulary_size, self.dim, self.depth, self.heads = vocabulary_size, dim, depth, heads
        self.mlp_ratio, self.max_length, self.pooling = mlp_ratio, max_length, pooling
        self.dropout, self.seed, self.padding_id = dropout, seed, padding_id
        self.segments = segments
        self.embedding = keras.layers.Embedding(
            vocabulary_size, dim, embeddings_initializer=_initializer(), dtype=self.dtype_policy
        )
        self.blocks = transformer_blocks(depth, heads, mlp_ratio, dropout, seed, self.dtype_policy)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm", dtype=self.dtype_policy)

    def build(self, input_shape: Shape | dict[str, Shape]) -> None:
        if isinstance(input_shape, dict):
            input_shape = input_shape["ids"]
        self.embedding.build(input_shape)
        self.places = self.add_weight(
            shape=(self.max_length, self.dim), initializer=_initializer(), name="places"
        )
        if self.segments > 1:
            self.segment_embeddings = self.add_weight(
                shape=(self.segments, self.dim), initializer=_initializer(), name="segment_embeddings"
            )
        for layer in (*self.blocks, self.norm):
            layer.build((input_shape[0], None, self.dim))
        self.built = True

    def _check_ids(self, ids):
        dtype = keras.backend.standardize_dtype(ids.dtype)
        if len(ids.shape) != 2 or "int" not in dtype:
            raise ValueError(
                f"TextTransformer needs integer ids (batch, length), got {dtype} of shape {tuple(ids.shape)}."
            )
        if ids.shape[1] is not None and ids.shape[1] > self.max_length:
            raise ValueError(f"ids must be at most max_length={self.max_length} long, got {ids.shape[1]}.")

    def _check_segment_ids(self, segment_ids, ids):
        if self.segments == 1:
            raise ValueError("segment_ids need a TextTransformer of segments=2 or more, this one has 1.")
        dtype = keras.backend.standardize_dtype(segment_ids.dtype)
        known = zip(segment_ids.shape, ids.shape, strict=False)
        if (
            len(segment_ids.shape) != 2
            or "int" not in dtype
            or any(None not in pair and pair[0] != pair[1] for pair in known)
        ):
            raise ValueError(
                f"segment_ids must be integers of the shape of ids, {tuple(ids.shape)}, got {dtype} of shape "
                f"{tuple(segment_ids.shape)}."
            )

    def token_features(
        self, ids: Tensor, training: bool | None = None, segment_ids: Tensor | None = None
    ) -> Tensor:
        """The feature of each token, `(batch, length, dim)`; 0 at padding."""
        self._check_ids(ids)
        if segment_ids is not None:
            self._check_segment_ids(segment_ids, ids)
        if not self.built:
            self.build(ids.shape)
        ids = ops.cast(ids, "int32")
        real = ops.not_equal(ids, self.padding_id)
        x = self.embedding(ids)
        x = x + ops.cast(self.places[: ops.shape(ids)[1]], x.dtype)
        if self.segments > 1:
            kinds = ops.zeros_like(ids) if segment_ids is None else ops.cast(segment_ids, "int32")
            x = x + ops.cast(ops.take(self.segment_embeddings, kinds, axis=0), x.dtype)
        for block in self.blocks:
            x = block(x, mask=real, training=training)
        x = self.norm(x)
        return ops.where(real[:, :, None], x, ops.zeros_like(x))

    def call(self, inputs: Tensor | dict[str, Tensor], training: bool | None = None) -> Tensor:
        ids, segment_ids = _parts(inputs)
        features = self.token_features(ids, training, segment_ids)
        if self.pooling == "first":
            return features[:, 0]
        real = ops.cast(ops.not_equal(ids, self.padding_id), "float32")
        if self.pooling == "last":
            last = ops.argmax(real * ops.arange(1, ops.shape(real)[1] + 1, dtype="float32"), axis=1)
            return ops.squeeze(ops.take_along_axis(features, last[:, None, None], axis=1), 1)
        count = ops.maximum(ops.sum(real, axis=1, keepdims=True), 1.0)
        return ops.cast(ops.sum(ops.cast(features, "float32"), axis=1) / count, features.dtype)

    def compute_output_shape(self, input_shape: Shape | dict[str, Shape]) -> Shape:
        if isinstance(input_shape, dict):
            input_shape = input_shape["ids"]
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "max_length": self.max_length,
            "pooling": self.pooling,
            "dropout": self.dropout,
            "seed": self.seed,
            "padding_id": self.padding_id,
            "segments": self.segments,
        }


def _parts(inputs):
    """Ids and segment ids, or `None` for these."""
    if not isinstance(inputs, dict):
        return inputs, None
    if "ids" not in inputs or set(inputs) - {"ids", "segment_ids"}:
        raise ValueError(f"inputs as a dict must hold 'ids' and 'segment_ids', got {sorted(inputs)}.")
    return inputs["ids"], inputs.get("segment_ids")


def _initializer():
    return keras.initializers.TruncatedNormal(stddev=0.02)
