from typing import Any, Self

import keras
import numpy as np
from keras import ops

from contrast.augmentation import random_mask, token_ids
from contrast.encoders import ViT
from contrast.encoders.transformer_block import transformer_blocks
from contrast.losses import masked_patch_loss, total_loss
from contrast.losses.masked_patches import EPSILON
from contrast.models.base import deserialized, serialized
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast.models")
class MaskedAutoencoder(keras.Model):
    r"""Most patches of an image are hidden; a light decoder must paint them from what the encoder sees.

    The encoder reads the visible patches alone. The decoder gets its tokens and, in the places of the hidden
    ones, one learned mask token, each with its place (sine and cosine), and predicts the pixels $p_i$. With
    the M hidden patches of the batch, of D numbers each, and their pixels $\hat x_i$, normalised by patch,
    $$L = \frac{1}{|M| D} \sum_{i \in M} \|p_i - \hat x_i\|^2.$$

    Use it with a vision transformer and many images; it needs no augmentation but crops. Its features want
    fine-tuning more than those of `DINO` or `MoCoV3`, which a linear probe reads.

    Args:
        encoder: a `contrast.encoders.ViT`, or a layer with its `patch_size`, `embed`, `encode` and `norm`;
            `model.encoder`.
        augmentation: a layer that draws one view of each image, or `None`.
        mask_ratio: share of the patches that are hidden, rounded to whole patches; the same number in each
            image.
        decoder_dim, decoder_depth, decoder_heads: of the decoder.
        normalize: targets are normalised by patch, which makes better features. `reconstruct` then puts mean
            and deviation of the true patch back.
        seed: int or `None`, of the masks.

    Data: images `(batch, height, width, channels)`, alone or with ids, which are not read.

    Call: images to the encoder's features `(batch, dim)` of all patches; so does `predict`. `reconstruct`
        gives images painted from the visible patches.

    Raises:
        ValueError: if `mask_ratio` hides no patch or all, or is not between 0 and 1.
        TypeError: if the encoder is no transformer over patches.

    Example:

    >>> images = np.random.default_rng(0).random((8, 8, 8, 1)).astype("float32")
    >>> encoder = contrast.encoders.ViT(patch_size=2, dim=8, depth=1, heads=2)
    >>> model = contrast.models.MaskedAutoencoder(
    ...     encoder, decoder_dim=8, decoder_depth=1, decoder_heads=2
    ... )
    >>> model.compile("adam")
    >>> history = model.fit(images, batch_size=4, epochs=1, verbose=0)
    >>> painted, mask = model.reconstruct(images)
    >>> painted.shape, mask.sum(axis=1).tolist()
    ((8, 8, 8, 1), [12, 12, 12, 12, 12, 12, 12, 12])

    Reference: [He et al., 2022](https://arxiv.org/abs/2111.06377)
    """

    def __init__(
        self,
        encoder: ViT,
        augmentation: keras.Layer | None = None,
        mask_ratio: float = 0.75,
        decoder_dim: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
        normalize: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        missing = [
            name
            for name in ("patch_size", "embed", "encode", "norm")
            if not isinstance(encoder, keras.Layer) or not hasattr(encoder, name)
        ]
        if missing:
            raise TypeError(
                f"encoder must be a transformer over patches such as {ViT.__name__}, with "
                f"{', '.join(missing)}; got {type(encoder).__name__}."
            )
        if not 0 < mask_ratio < 1:
            raise ValueError(f"mask_ratio must be between 0 and 1, got {mask_ratio}.")
        self.encoder, self.augmentation = encoder, augmentation
        self.mask_ratio, self.normalize, self.seed = mask_ratio, normalize, seed
        self.decoder_dim, self.decoder_depth, self.decoder_heads = decoder_dim, decoder_depth, decoder_heads
        self.generator = keras.random.SeedGenerator(seed)
        dtype = self.dtype_policy
        self.decoder_embedding = keras.layers.Dense(decoder_dim, name="decoder_embedding", dtype=dtype)
        self.decoder_blocks = transformer_blocks(decoder_depth, decoder_heads, 4, 0.0, None, dtype)
        self.decoder_norm = keras.layers.LayerNormalization(epsilon=1e-6, name="decoder_norm", dtype=dtype)

    def build(self, input_shape: Any) -> None:
        shape = (None, *input_shape[1:])
        if self.augmentation is not None:
            shape = tuple(self.augmentation(keras.KerasTensor(shape), training=True).shape)
        if not self.encoder.built:
            self.encoder.build(shape)
        self._data_shape = list(input_shape)
        P = self.encoder.patch_size
        self.grid, self.channels = (shape[1] // P, shape[2] // P), shape[3]
        self.patch_count = self.grid[0] * self.grid[1]
        self.hidden_count = round(self.patch_count * self.mask_ratio)
        if not 0 < self.hidden_count < self.patch_count:
            raise ValueError(
                f"mask_ratio must hide at least one patch and leave one, got {self.mask_ratio} of "
                f"{self.patch_count} patches."
            )
        dim = self.encoder.compute_output_shape(shape)[-1]
        self.decoder_embedding.build((None, None, dim))
        for layer in (*self.decoder_blocks, self.decoder_norm):
            layer.build((None, None, self.decoder_dim))
        self.pixels = keras.layers.Dense(P * P * self.channels, name="pixels", dtype=self.dtype_policy)
        self.pixels.build((None, None, self.decoder_dim))
        self.mask_token = self.add_weight(
            shape=(1, 1, self.decoder_dim),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="mask_token",
        )
        self.places = sine_places(self.grid, self.decoder_dim)
        self.built = True

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": self._data_shape}

    def call(self, inputs: Tensor, training: bool | None = None) -> Any:
        if training:
            return self.outputs(self.view(inputs), training=True)
        return self.encoder(inputs, training=False)

    def view(self, images: Tensor) -> Tensor:
        """The images that are masked: a view of each, if there is an augmentation."""
        return images if self.augmentation is None else self.augmentation(images, training=True)

    def outputs(self, images: Tensor, training: bool | None) -> dict[str, Any]:
        """Images, the decoder's patches `(batch, patches, pixels)`, and which patches were hidden."""
        mask = random_mask(
            ops.shape(images)[0], self.patch_count, count=self.hidden_count, seed=self.generator
        )
        predictions = self.decode(self.encode_visible(images, mask, training), mask, training)
        return {"images": images, "predictions": predictions, "mask": mask}

    def encode_visible(self, images: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """The encoder's tokens of the visible patches, after those of no patch."""
        tokens = self.encoder.embed(images)
        extra = tokens.shape[1] - self.patch_count
        seen, _ = token_ids(mask, self.hidden_count)
        patches = ops.take_along_axis(tokens[:, extra:], seen[:, :, None], axis=1)
        tokens = ops.concatenate([tokens[:, :extra], patches], axis=1) if extra else patches
        return self.encoder.norm(self.encoder.encode(tokens, training)[-1])

    def decode(self, tokens: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Predicted patches `(batch, patches, pixels)` from the tokens of the visible ones."""
        tokens = self.decoder_embedding(tokens)
        extra = tokens.shape[1] - (self.patch_count - self.hidden_count)
        mask_token = ops.cast(self.mask_token, tokens.dtype)
        hidden = ops.tile(mask_token, (ops.shape(tokens)[0], self.hidden_count, 1))
        patches = ops.concatenate([tokens[:, extra:], hidden], axis=1)
        place = ops.argsort(ops.concatenate(token_ids(mask, self.hidden_count), axis=1), axis=1)
        patches = ops.take_along_axis(patches, place[:, :, None], axis=1)
        patches = patches + ops.cast(self.places, tokens.dtype)
        tokens = ops.concatenate([tokens[:, :extra], patches], axis=1) if extra else patches
        for block in self.decoder_blocks:
            tokens = block(tokens, training=training)
        return self.pixels(self.decoder_norm(tokens))[:, extra:]

    def patches(self, images: Tensor) -> Tensor:
        """Images as patches `(batch, patches, pixels)`, rows first."""
        P, (rows, columns) = self.encoder.patch_size, self.grid
        parts = ops.reshape(images, (-1, rows, P, columns, P, self.channels))
        return ops.reshape(
            ops.transpose(parts, (0, 1, 3, 2, 4, 5)), (-1, rows * columns, P * P * self.channels)
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        outputs = y_pred if training else self.outputs(self.view(x), training=False)
        if sample_weight is not None:
            raise ValueError(f"{self.name} takes no sample_weight: the loss is a mean over patches.")
        patches = self.patches(outputs["images"])
        loss = masked_patch_loss(patches, outputs["predictions"], outputs["mask"], self.normalize)
        return total_loss(self, mean=loss)

    def reconstruct(self, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Paints the hidden patches of images; the visible ones stay as they are.

        Args:
            images: `(batch, height, width, channels)`.

        Returns:
            The images, a float32 array `(batch, height, width, channels)`, and which patches were hidden, a
            bool array `(batch, patches)`.
        """
        images = ops.cast(images, "float32")
        if not self.built:
            self.build(images.shape)
        outputs = self.outputs(images, training=False)
        patches, painted = self.patches(images), ops.cast(outputs["predictions"], "float32")
        if self.normalize:
            count = patches.shape[-1]
            variance = ops.var(patches, axis=-1, keepdims=True) * count / (count - 1)
            painted = painted * ops.sqrt(variance + EPSILON) + ops.mean(patches, axis=-1, keepdims=True)
        painted = ops.where(outputs["mask"][:, :, None], painted, patches)
        P, (rows, columns) = self.encoder.patch_size, self.grid
        painted = ops.reshape(painted, (-1, rows, columns, P, P, self.channels))
        painted = ops.reshape(ops.transpose(painted, (0, 1, 3, 2, 4, 5)), ops.shape(images))
        return ops.convert_to_numpy(ops.stop_gradient(painted)), ops.convert_to_numpy(outputs["mask"])

    def get_config(self) -> dict[str, Any]:
        parts = serialized({"encoder": self.encoder, "augmentation": self.augmentation})
        return {**super().get_config(), **parts, **{key: getattr(self, key) for key in _OPTIONS}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**deserialized(config))


_OPTIONS = ("mask_ratio", "decoder_dim", "decoder_depth", "decoder_heads", "normalize", "seed")


def sine_places(grid: tuple[int, int], dim: int) -> np.ndarray:
    """Places of patches as sines and cosines, float32 `(patches, dim)`: a half for rows, a half for columns.

    Args:
        grid: number of rows and columns.
        dim: divisible by 4.

    Raises:
        ValueError: if it is not.
    """
    if dim % 4:
        raise ValueError(f"decoder_dim must be divisible by 4, got {dim}.")
    rates = 1 / 10000 ** (np.arange(dim // 4) / (dim // 4))
    rows, columns = (
        axis.reshape(-1, 1) * rates for axis in np.meshgrid(*map(np.arange, grid), indexing="ij")
    )
    parts = [np.sin(columns), np.cos(columns), np.sin(rows), np.cos(rows)]
    return np.concatenate(parts, axis=1).astype("float32")
