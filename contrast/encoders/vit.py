from typing import Any

import keras
from keras import ops

from contrast.encoders.transformer_block import transformer_blocks
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ViT(keras.Model):
    """A small vision transformer with taps: the blocks' outputs, and a block's queries, keys, values.

    Args:
        patch_size: pixels a side of a patch; it divides both sides of the image.
        dim: width of the tokens and of the feature vector.
        depth: number of blocks.
        heads: attention heads; they divide `dim`.
        mlp_ratio: width of the blocks' hidden layer over `dim`.
        pooling: `"mean"` over the patches, or `"class"`: a learned token before the patches gives the
            feature.
        dropout: in the blocks.
        seed: int or `None`, of the dropout.

    Call: images `(batch, height, width, channels)` to features `(batch, dim)`. The image size is fixed by the
        first call.

    The steps are `embed` (images to tokens with places), `encode` (tokens through all blocks) and `summarize`
    (tokens to features), for models that come between.

    Raises:
        ValueError: if a number is below 1, `heads` does not divide `dim`, `pooling` is unknown, the patch
            does not divide the image, or an image has another size than the first.

    Example:

    >>> encoder = contrast.encoders.ViT(patch_size=4, dim=16, depth=2, heads=2)
    >>> images = np.zeros((3, 8, 12, 1), "float32")
    >>> tuple(encoder(images).shape)
    (3, 16)
    >>> [tuple(tokens.shape) for tokens in encoder.block_outputs(images)]
    [(3, 6, 16), (3, 6, 16)]
    >>> queries, keys, values = encoder.attention_inputs(images, block=-1)
    >>> tuple(keys.shape)
    (3, 2, 6, 8)

    Reference: [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929).
    """

    def __init__(
        self,
        patch_size: int = 4,
        dim: int = 64,
        depth: int = 4,
        heads: int = 4,
        mlp_ratio: int = 4,
        pooling: str = "mean",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, number in (("patch_size", patch_size), ("dim", dim), ("heads", heads)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        if dim % heads:
            raise ValueError(f"heads must divide dim, got {heads} heads and dim {dim}.")
        if pooling not in ("mean", "class"):
            raise ValueError(f"pooling must be 'mean' or 'class', got {pooling!r}.")
        self.patch_size, self.dim, self.depth, self.heads = patch_size, dim, depth, heads
        self.mlp_ratio, self.pooling, self.dropout, self.seed = mlp_ratio, pooling, dropout, seed
        self.patches = keras.layers.Conv2D(
            dim, patch_size, strides=patch_size, name="patches", dtype=self.dtype_policy
        )
        self.blocks = transformer_blocks(depth, heads, mlp_ratio, dropout, seed, self.dtype_policy)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm", dtype=self.dtype_policy)

    def _check_size(self, shape):
        sides = tuple(shape[1:3])
        if len(shape) != 4 or None in sides or any(side % self.patch_size for side in sides):
            raise ValueError(
                "ViT needs images (batch, height, width, channels) whose sides are known and divided by the "
                f"patch size {self.patch_size}, got shape {tuple(shape)}."
            )
        if self.built and sides != self.image_size:
            raise ValueError(f"ViT was built for images of {self.image_size} pixels, got {sides}.")

    def build(self, input_shape: Shape) -> None:
        self._check_size(input_shape)
        self.image_size = tuple(input_shape[1:3])
        tokens = (self.image_size[0] // self.patch_size) * (self.image_size[1] // self.patch_size)
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.patches.build(input_shape)
        self.places = self.add_weight(shape=(tokens, self.dim), initializer=initializer, name="places")
        if self.pooling == "class":
            self.class_token = self.add_weight(
                shape=(1, 1, self.dim), initializer=initializer.clone(), name="class_token"
            )
        for layer in (*self.blocks, self.norm):
            layer.build((input_shape[0], None, self.dim))
        self.built = True

    def embed(self, images: Tensor) -> Tensor:
        """Tokens `(batch, tokens, dim)` before the first block: the class token, if any, and the patches."""
        if not self.built:
            self.build(images.shape)
        self._check_size(images.shape)
        maps = self.patches(images)
        places = ops.cast(self.places, maps.dtype)
        tokens = ops.reshape(maps, (-1, *places.shape)) + places
        if self.pooling == "mean":
            return tokens
        token = ops.cast(self.class_token, maps.dtype)
        return ops.concatenate([ops.tile(token, (ops.shape(tokens)[0], 1, 1)), tokens], axis=1)

    def encode(self, tokens: Tensor, training: bool | None = None) -> tuple[Tensor, ...]:
        """The output of each block, as a tuple of `(batch, tokens, dim)`."""
        outputs = []
        for block in self.blocks:
            tokens = block(tokens, training=training)
            outputs.append(tokens)
        return tuple(outputs)

    def summarize(self, tokens: Tensor) -> Tensor:
        """Features `(batch, dim)` from the last block's output."""
        tokens = self.norm(tokens)
        return ops.mean(tokens, axis=1) if self.pooling == "mean" else tokens[:, 0]

    def block_outputs(self, images: Tensor, training: bool | None = None) -> tuple[Tensor, ...]:
        """The output of each block, as a tuple of `(batch, tokens, dim)`."""
        return self.encode(self.embed(images), training)

    def attention_inputs(
        self, images: Tensor, block: int = -1, training: bool | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a block, each `(batch, heads, tokens, dim / heads)`.

        Raises:
            ValueError: if there is no such block.
        """
        if not -self.depth <= block < self.depth:
            raise ValueError(f"block must be from {-self.depth} to {self.depth - 1}, got {block}.")
        tokens = self.embed(images)
        for before in self.blocks[: block % self.depth]:
            tokens = before(tokens, training=training)
        return self.blocks[block].attention_inputs(tokens)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.summarize(self.block_outputs(inputs, training)[-1])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "dim": self.dim,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "pooling": self.pooling,
            "dropout": self.dropout,
            "seed": self.seed,
        }
