"""From the frames of a clip to a sequence of tokens."""

import keras
from keras import ops

from contrast.encoders import TransformerBlock
from contrast.layers.temporal_conv import TemporalConv
from contrast.seeds import apart

BEFORE, BEHIND, MULTIPLE = 8, 8, 4  # repeated frames, official code
PADDING_VALUE = 1.0  # of features behind a clip, official code


@keras.saving.register_keras_serializable(package="sign_translation")
class VisualEncoder(keras.Model):
    r"""Frames to tokens: an encoder of single frames, convolutions along time, a transformer.

    A clip of $n$ frames is lengthened in time by 8 copies of its first frame and, behind, by copies of its
    last one up to $4 \lceil n / 4 \rceil + 16$ steps, of which the convolutions make $\lceil n / 4 \rceil +
    1$ tokens; token $j$ is centred on frame $4j$. Copies are made of the features, so that the frame encoder
    sees each frame once.

    Nothing attends to padding, and at inference padded frames change nothing. In training a frame encoder
    with batch normalisation takes statistics of padded frames as well; pad by repeating the last frame.

    Args:
        frame_encoder: a model or layer from `(frames, ...)` to `(frames, features)`.
        dim: width of the tokens.
        depth, heads, mlp_ratio: of the transformer.
        max_frames: frames of the longest clip.
        dropout: on the embedded tokens and in the transformer.
        sign_embedding: whether a dense layer, normalisation and ReLU stand before the transformer.
        masked_normalization: leave padding out of the statistics along time. The official code does not; it
            fills padding with 1.
        seed: int or `None`, of the dropout.

    Call: a dict of `"frames"`, `(batch, frames, ...)`, floats or bytes (divided by 255), and `"frame_mask"`
        `(batch, frames)`, True at real frames, which stand first. Returns `(batch, tokens, dim)`, 0 at
        padding; `token_mask(frame_mask)` tells which are real.

    Raises:
        ValueError: if frames or mask have another rank, or clips are longer than `max_frames`.

    Example:

    >>> from applications.sign_translation.visual_encoder import VisualEncoder
    >>> encoder = VisualEncoder(keras.layers.Dense(8), dim=8, depth=1, heads=2, max_frames=12)
    >>> clips = {"frames": np.zeros((2, 12, 6), "float32"), "frame_mask": np.arange(12) < [[12], [5]]}
    >>> tuple(encoder(clips).shape)
    (2, 4, 8)
    >>> keras.ops.convert_to_numpy(encoder.token_mask(clips["frame_mask"])).sum(axis=1).tolist()
    [4, 3]

    Reference: [Zhou et al., 2023](https://arxiv.org/abs/2307.14768), section 3.3.
    """

    def __init__(
        self,
        frame_encoder,
        dim=64,
        depth=2,
        heads=4,
        mlp_ratio=2,
        max_frames=300,
        dropout=0.0,
        sign_embedding=False,
        masked_normalization=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, number in (("dim", dim), ("depth", depth), ("heads", heads), ("max_frames", max_frames)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        if dim % heads:
            raise ValueError(f"heads must divide dim, got {heads} heads and dim {dim}.")
        self.frame_encoder = frame_encoder
        self.dim, self.depth, self.heads, self.mlp_ratio = dim, depth, heads, mlp_ratio
        self.max_frames, self.rate, self.seed = max_frames, dropout, seed
        self.has_sign_embedding, self.masked_normalization = sign_embedding, masked_normalization
        shared = {"dtype": self.dtype_policy}
        self.temporal_conv = TemporalConv(
            dim, masked_normalization=masked_normalization, name="temporal_conv", **shared
        )
        if sign_embedding:
            self.sign_embedding = keras.layers.Dense(dim, name="sign_embedding", **shared)
            self.sign_norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, name="sign_norm", **shared
            )
        self.token_norm = keras.layers.LayerNormalization(epsilon=1e-6, name="token_norm", **shared)
        embedding_seed, *block_seeds = apart(seed, 1 + depth)
        self.dropout = keras.layers.Dropout(dropout, seed=embedding_seed, name="dropout", **shared)
        self.blocks = [
            TransformerBlock(
                heads,
                mlp_ratio,
                dropout,
                block_seed,
                name=f"block_{number}",
                **shared,
            )
            for number, block_seed in enumerate(block_seeds)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm", **shared)

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest clip, with one vector in front."""
        return self.temporal_conv.token_count(_padded_steps(self.max_frames)) + 1

    def build(self, input_shape):
        frames = tuple(input_shape["frames"])
        frame = (None, *frames[2:])
        if not self.frame_encoder.built:
            self.frame_encoder.build(frame)
        width = self.frame_encoder.compute_output_shape(frame)[-1]
        self.temporal_conv.build((None, None, width))
        tokens = (None, None, self.dim)
        if self.has_sign_embedding:
            self.sign_embedding.build(tokens)
            self.sign_norm.build(tokens)
        for layer in (self.token_norm, *self.blocks, self.norm):
            layer.build(tokens)
        self.places = self.add_weight(
            shape=(self.max_tokens, self.dim),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="places",
        )
        self.built = True

    def call(self, inputs, training=None):
        return self.encode(*self.signs(inputs, training), training=training)[0]

    def signs(self, inputs, training=None):
        """What the transformer reads: tokens `(batch, tokens, dim)` and their mask.

        Args:
            inputs: as for the call.
            training: as for the call.
        """
        if not self.built:
            self.build({"frames": tuple(inputs["frames"].shape)})
        frames, mask = self._checked(inputs)
        batch, count = ops.shape(frames)[0], _count(frames)
        flat = self.frame_encoder(ops.reshape(frames, (-1, *frames.shape[2:])), training=training)
        index, steps = self._repeated(mask, batch, count)
        x = ops.take(flat, index, axis=0)
        x = ops.where(steps[:, :, None], x, ops.cast(PADDING_VALUE, x.dtype))
        x = self.temporal_conv(x, mask=steps, training=training)
        real = self.temporal_conv.compute_mask(x, steps)
        if self.has_sign_embedding:
            counted = real if self.masked_normalization else None
            x = ops.relu(self.sign_norm(self.sign_embedding(x), training=training, mask=counted))
        return x, real

    def encode(self, tokens, mask, first=None, training=None):
        """The transformer on tokens.

        Args:
            tokens: `(batch, tokens, dim)`.
            mask: bool `(batch, tokens)`.
            first: a vector `(dim,)` that is put in front of every clip, or `None`.
            training: as for the call.

        Returns:
            The states, 0 at padding, and their mask, one longer with `first`.
        """
        if first is not None:
            ahead = ops.broadcast_to(ops.cast(first, tokens.dtype), (ops.shape(tokens)[0], 1, self.dim))
            tokens = ops.concatenate([ahead, tokens], axis=1)
            mask = ops.concatenate([ops.ones_like(mask[:, :1]), mask], axis=1)
        x = tokens + ops.cast(self.places[: _count(tokens)], tokens.dtype)
        x = self.dropout(self.token_norm(x), training=training)
        for block in self.blocks:
            x = block(x, mask=mask, training=training)
        x = self.norm(x)
        return ops.where(mask[:, :, None], x, ops.zeros_like(x)), mask

    def token_mask(self, frame_mask):
        """Which tokens are real, `(batch, tokens)`, from which frames are."""
        mask = ops.cast(ops.convert_to_tensor(frame_mask), "bool")
        steps = self._repeated(mask, ops.shape(mask)[0], _count(mask))[1]
        return self.temporal_conv.compute_mask(None, steps)

    def _repeated(self, mask, batch, count):
        """For each step of the lengthened clips its frame among all, and whether the step is real."""
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)[:, None]
        place = ops.arange(_padded_steps(count), dtype="int32")[None, :]
        frame = ops.maximum(ops.minimum(place - BEFORE, lengths - 1), 0)
        index = frame + ops.arange(batch, dtype="int32")[:, None] * count
        return index, place < _padded_steps(lengths)

    def _checked(self, inputs):
        frames, mask = inputs["frames"], ops.cast(inputs["frame_mask"], "bool")
        if len(frames.shape) < 3 or _count(frames) is None or len(mask.shape) != 2:
            raise ValueError(
                "frames must be (batch, frames, ...) of a known number of frames and frame_mask "
                f"(batch, frames), got shapes {tuple(frames.shape)} and {tuple(mask.shape)}."
            )
        known = None not in (frames.shape[1], mask.shape[1])
        if known and (frames.shape[1] != mask.shape[1] or not 1 <= frames.shape[1] <= self.max_frames):
            raise ValueError(
                f"frames and frame_mask must have the same 1 to max_frames={self.max_frames} frames, got "
                f"{frames.shape[1]} and {mask.shape[1]}."
            )
        if keras.backend.standardize_dtype(frames.dtype) == "uint8":
            return ops.cast(frames, self.compute_dtype) / 255.0, mask
        return ops.cast(frames, self.compute_dtype), mask

    def compute_output_shape(self, input_shape):
        batch, count = input_shape["frames"][:2]
        return (batch, self.temporal_conv.token_count(_padded_steps(count)), self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder),
            "dim": self.dim,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "max_frames": self.max_frames,
            "dropout": self.rate,
            "sign_embedding": self.has_sign_embedding,
            "masked_normalization": self.masked_normalization,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        return cls(
            **{**config, "frame_encoder": keras.saving.deserialize_keras_object(config["frame_encoder"])}
        )


def _count(x):
    """Steps of `(batch, steps, ...)`: an int, or a scalar where TensorFlow traces many shapes at once."""
    return x.shape[1] or ops.shape(x)[1]


def _padded_steps(frames):
    """Steps of a clip of that many frames, its repeated frames included; an int or integers."""
    return MULTIPLE * ((frames + MULTIPLE - 1) // MULTIPLE) + BEFORE + BEHIND
