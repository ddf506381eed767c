from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from contrast.decoding.decoder_block import DecoderBlock
from contrast.decoding.targets import integer_ids
from contrast.seeds import apart
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class FeatureDecoder(keras.Model):
    """A transformer that writes tokens while it attends to features: of frames, image patches, words.

    Tokens see the tokens before them and all features. Padding is seen by nothing: neither padded features
    nor padded tokens; only the first token is always seen, as some vocabularies start a text with padding. An
    item without any real feature gets what the tokens alone say.

    Args:
        vocabulary_size: ids are from 0 to `vocabulary_size - 1`.
        dim: width of the tokens. The features may have another width.
        depth: number of blocks.
        heads: attention heads; they divide `dim`.
        mlp_ratio: width of the blocks' hidden layer over `dim`.
        max_length: most tokens in a text.
        padding_id: the id of padding.
        tied: compute the logits with the matrix of the token embedding instead of one of their own.
        activation: of the blocks' hidden layer.
        dropout: on the embedded tokens and in the blocks.
        seed: int or `None`, of the dropout.

    Call: a dict of `"features"`, floats `(batch, source, any width)`; `"ids"`, integers `(batch, length)`,
        what the decoder reads (see `shift_right`); and, if features are padded, `"feature_mask"`
        `(batch, source)`, True at real features. Returns logits `(batch, length, vocabulary_size)`.
        `start_cache` and `step` do the same token by token, `cross_attention` shows what the tokens look at.

    Raises:
        ValueError: if a number is out of range, `heads` does not divide `dim`, ids are not integers or longer
            than `max_length`, or features and mask do not fit together.

    Example:

    >>> decoder = contrast.decoding.FeatureDecoder(vocabulary_size=50, dim=16, depth=2, heads=2, max_length=8)
    >>> features, ids = np.random.normal(size=(4, 10, 24)), np.array([[1, 12, 3, 0]] * 4)
    >>> tuple(decoder({"features": features, "ids": ids}).shape)
    (4, 4, 50)
    >>> contrast.decoding.generate(decoder, features, start_id=1, end_id=2, max_length=6).tokens.shape
    (4, 6)

    Reference: [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); normalisation first, as in
        [Xiong et al., 2020](https://arxiv.org/abs/2002.04745).
    """

    def __init__(
        self,
        vocabulary_size: int,
        dim: int = 64,
        depth: int = 2,
        heads: int = 4,
        mlp_ratio: int = 4,
        max_length: int = 64,
        padding_id: int = 0,
        tied: bool = False,
        activation: str | Callable[[Any], Any] = "gelu",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        numbers = {"vocabulary_size": vocabulary_size, "dim": dim, "depth": depth, "heads": heads}
        for name, number in {**numbers, "max_length": max_length}.items():
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        if dim % heads:
            raise ValueError(f"heads must divide dim, got {heads} heads and dim {dim}.")
        if not 0 <= padding_id < vocabulary_size:
            raise ValueError(
                f"padding_id must be from 0 to vocabulary_size - 1 = {vocabulary_size - 1}, got {padding_id}."
            )
        self.vocabulary_size, self.dim, self.depth, self.heads = vocabulary_size, dim, depth, heads
        self.mlp_ratio, self.max_length, self.padding_id, self.tied = mlp_ratio, max_length, padding_id, tied
        self.activation, self.rate, self.seed = activation, dropout, seed
        self.embedding = keras.layers.Embedding(
            vocabulary_size, dim, embeddings_initializer=_initializer(), dtype=self.dtype_policy
        )
        embedding_seed, *block_seeds = apart(seed, 1 + depth)
        self.dropout = keras.layers.Dropout(dropout, seed=embedding_seed, dtype=self.dtype_policy)
        self.blocks = [
            DecoderBlock(
                heads,
                mlp_ratio,
                activation,
                dropout,
                block_seed,
                name=f"block_{number}",
                dtype=self.dtype_policy,
            )
            for number, block_seed in enumerate(block_seeds)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm", dtype=self.dtype_policy)
        if not tied:
            self.output_projection = keras.layers.Dense(
                vocabulary_size, name="output", dtype=self.dtype_policy
            )

    def build(self, input_shape: dict[str, Shape]) -> None:
        tokens_shape = (*input_shape["ids"], self.dim)
        self.embedding.build(input_shape["ids"])
        self.places = self.add_weight(
            shape=(self.max_length, self.dim), initializer=_initializer(), name="places"
        )
        for block in self.blocks:
            block.build(tokens_shape, input_shape["features"])
        self.norm.build(tokens_shape)
        if not self.tied:
            self.output_projection.build(tokens_shape)
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        return self._logits(self._decode(inputs, training)[0])

    def cross_attention(self, inputs: dict[str, Tensor]) -> Tensor:
        """How much each token looks at each feature when it chooses its successor: the mean over the heads.

        Args:
            inputs: as for the call.

        Returns:
            float32 tensor `(batch, depth, length, source)`; a row sums to 1, to 0 without any real feature.
        """
        weights = self._decode(inputs, training=False)[1]
        return ops.stack([ops.mean(w, axis=1) for w in weights], axis=1)

    def start_cache(
        self, features: Tensor, feature_mask: Tensor | None = None, length: int | None = None
    ) -> dict[str, Any]:
        """What `step` needs to write texts about these features.

        Args:
            features: floats `(items, source, any width)`.
            feature_mask: `(items, source)`, True at real features, or `None`: all are.
            length: how many tokens the cache has room for; `None` means `max_length`.

        Returns:
            A dict: `"memory"`, the keys and values of the features, which stay as they are; `"state"`, what
            the tokens add to, each of its tensors with one row an item.
        """
        length = self.max_length if length is None else length
        if not 1 <= length <= self.max_length:
            raise ValueError(f"length must be from 1 to max_length={self.max_length}, got {length}.")
        if not self.built:
            raise ValueError(
                "the decoder has no weights yet: call it on features and ids once, or load them."
            )
        features, feature_mask = self._check_features(features, feature_mask)
        items = ops.shape(features)[0]
        empty = ops.zeros((items, self.heads, length, self.dim // self.heads), self.compute_dtype)
        return {
            "memory": {"layers": [block.memory(features) for block in self.blocks], "mask": feature_mask},
            "state": {
                "real": ops.zeros((items, length), "bool"),
                "layers": [(empty, empty) for _ in self.blocks],
            },
        }

    def step(
        self, tokens: Tensor, index: int | Tensor, cache: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Logits after one more token of each text, without the dropout of training.

        Args:
            tokens: integers `(rows,)`; the rows of `"state"`, a multiple of the items of `"memory"`.
            index: the place of these tokens, from 0: an int or an integer scalar tensor.
            cache: from `start_cache` or from the step before.

        Returns:
            Logits `(rows, vocabulary_size)` and the next cache.
        """
        memory, state = cache["memory"], cache["state"]
        tokens = ops.cast(tokens, "int32")
        here = ops.equal(ops.arange(state["real"].shape[1], dtype="int32"), index)
        real = ops.logical_or(ops.not_equal(tokens, self.padding_id), ops.equal(index, 0))
        real = ops.logical_or(state["real"], ops.logical_and(here, real[:, None]))
        x = self._embed(tokens[:, None], ops.take(self.places, index, axis=0))
        layers = []
        for block, past, features in zip(self.blocks, state["layers"], memory["layers"], strict=True):
            queries, *new = block.self_inputs(x)
            keys, values = (ops.where(here[:, None], mine, old) for mine, old in zip(new, past, strict=True))
            layers.append((keys, values))
            inputs = (queries, keys, values)
            x, _ = block(x, inputs, real[:, None, None, :], features, memory["mask"], training=False)
        return self._logits(x)[:, 0], {"memory": memory, "state": {"real": real, "layers": layers}}

    def _decode(self, inputs, training):
        features, mask = self._check_features(inputs["features"], inputs.get("feature_mask"))
        ids = integer_ids("ids", inputs["ids"])
        if ids.shape[1] is not None and ids.shape[1] > self.max_length:
            raise ValueError(f"ids must be at most max_length={self.max_length} long, got {ids.shape[1]}.")
        places = ops.arange(ops.shape(ids)[1], dtype="int32")
        real = ops.logical_or(ops.not_equal(ids, self.padding_id), ops.equal(places, 0))
        seen = ops.logical_and(places[None, :] <= places[:, None], real[:, None, None, :])
        x = self.dropout(self._embed(ids, self.places[: ops.shape(ids)[1]]), training=training)
        weights = []
        for block in self.blocks:
            x, looked = block(x, block.self_inputs(x), seen, block.memory(features), mask, training=training)
            weights.append(looked)
        return x, weights

    def _embed(self, ids, places):
        x = self.embedding(ids)
        return x + ops.cast(places, x.dtype)

    def _logits(self, x):
        x = self.norm(x)
        if self.tied:
            return ops.matmul(x, ops.transpose(ops.cast(self.embedding.embeddings, x.dtype)))
        return self.output_projection(x)

    def _check_features(self, features, mask):
        features = ops.cast(ops.convert_to_tensor(features), self.compute_dtype)
        if len(features.shape) != 3:
            raise ValueError(f"features must be (batch, source, dim), got shape {tuple(features.shape)}.")
        if mask is None:
            return features, None
        mask = ops.cast(ops.convert_to_tensor(mask), "bool")
        if len(mask.shape) != 2 or any(
            None not in (ours, theirs) and ours != theirs
            for ours, theirs in zip(mask.shape, features.shape[:2], strict=True)
        ):
            raise ValueError(
                f"feature_mask must be (batch, source) with features {tuple(features.shape)}, got shape "
                f"{tuple(mask.shape)}."
            )
        return ops.where(mask[:, :, None], features, ops.zeros_like(features)), mask

    def compute_output_shape(self, input_shape: dict[str, Shape]) -> Shape:
        return (*input_shape["ids"], self.vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "max_length": self.max_length,
            "padding_id": self.padding_id,
            "tied": self.tied,
            "activation": keras.activations.serialize(keras.activations.get(self.activation)),
            "dropout": self.rate,
            "seed": self.seed,
        }


def _initializer():
    return keras.initializers.TruncatedNormal(stddev=0.02)
