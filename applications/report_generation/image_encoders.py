"""Frozen encoders: from images to tokens, the first of which stands for the whole image."""

import keras
import numpy as np
from keras import ops

from applications.environment import check_packages
from contrast.data.batches import ArrayBatches
from contrast.losses import total_loss

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="report_generation")
class DinoTokens(keras.Model):
    """A DINOv2 whose tokens are `[pooled, class, patches]`, as RAD-DINO gives them.

    Images are scaled to the statistics of ImageNet and repeated in three channels. The pooled output of
    DINOv2 is its class token behind the last layer normalisation, which keras-hub applies to all tokens: the
    first two are equal.

    Args:
        backbone: a `keras_hub.models.DINOV2Backbone`, such as one `from_preset`.

    Call: images `(batch, height, width)`, bytes or floats in [0, 1], to tokens
        `(batch, 2 + patches, hidden_dim)`.

    Raises:
        ValueError: if the backbone has register tokens.

    Reference: [Pérez-García et al., 2024](https://arxiv.org/abs/2401.10815).
    """

    def __init__(self, backbone, **kwargs):
        super().__init__(**kwargs)
        if backbone.num_register_tokens:
            raise ValueError(f"backbone must have no register tokens, got {backbone.num_register_tokens}.")
        self.backbone = backbone
        self.image_size = tuple(backbone.image_shape[:2])
        self.image_dim = backbone.hidden_dim

    @classmethod
    def full_size(cls) -> "DinoTokens":
        """The architecture of RAD-DINO, ViT-B/14 on 518 x 518 pixels, with random weights."""
        check_packages("keras_hub")
        import keras_hub

        return cls(
            keras_hub.models.DINOV2Backbone(
                patch_size=14, num_layers=12, hidden_dim=768, num_heads=12, intermediate_dim=3072,
                image_shape=(518, 518, 3),
            )
        )  # fmt: skip

    @classmethod
    def from_preset(cls, preset: str = "dinov2_base", **options) -> "DinoTokens":
        """With pretrained weights, which keras-hub downloads.

        Args:
            preset: a name or a folder that `keras_hub.models.DINOV2Backbone.from_preset` knows.
            **options: of that function; `image_shape` is `(518, 518, 3)` unless given.
        """
        check_packages("keras_hub")
        import keras_hub

        options = {"image_shape": (518, 518, 3), **options}
        return cls(keras_hub.models.DINOV2Backbone.from_preset(preset, **options))

    def build(self, input_shape):
        self.built = True

    def call(self, images):
        x = ops.repeat(unit_range(images)[..., None], 3, axis=-1)
        x = (x - ops.convert_to_tensor(IMAGENET_MEAN)) / ops.convert_to_tensor(IMAGENET_STD)
        tokens = self.backbone({"images": x}, training=False)
        return ops.concatenate([tokens[:, :1], tokens], axis=1)

    def get_config(self):
        return {**super().get_config(), "backbone": keras.saving.serialize_keras_object(self.backbone)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "backbone": keras.saving.deserialize_keras_object(config["backbone"])})


@keras.saving.register_keras_serializable(package="report_generation")
class ConvolutionTokens(keras.Model):
    """A small stand-in for a pretrained encoder, trained to remove noise from images without any label.

    The tokens are `[whitened, mean, patches]`: the map of the last convolution, scaled to unit variance, its
    mean, and in front the principal components of the whole map at unit variance. To all of them a fixed
    random code of the place is added. `fit` trains the convolutions; then `adapt` sets the statistics.

    Args:
        image_size: `(height, width)`, multiples of 16.
        width: of the tokens.
        noise: standard deviation of the noise that is to be removed.
        code_scale: standard deviation of the code.
        seed: int, of the code and of the noise. Initial weights come from Keras's global seed.

    Call: images `(batch, height, width)`, bytes or floats in [0, 1], to tokens
        `(batch, 2 + height * width / 256, width)`.

    Raises:
        ValueError: if a side of the images is no multiple of 16.
    """

    def __init__(self, image_size=(64, 64), width=96, noise=0.1, code_scale=0.5, seed=0, **kwargs):
        super().__init__(**kwargs)
        image_size = tuple(image_size)
        if len(image_size) != 2 or any(side < 16 or side % 16 for side in image_size):
            raise ValueError(f"image_size must be two multiples of 16, got {image_size}.")
        self.image_size, self.image_dim, self.noise, self.code_scale = image_size, width, noise, code_scale
        self.seed = seed
        self.noise_seed = keras.random.SeedGenerator(seed)
        self.patches = image_size[0] * image_size[1] // 256
        filters = (24, 48, width, width)
        self.encoder = keras.Sequential(
            [keras.Input((*image_size, 1))]
            + [
                keras.layers.Conv2D(count, 3, strides=2, padding="same", activation=None if last else "relu")
                for count, last in zip(filters, (False, False, False, True), strict=True)
            ],
            name="encoder",
        )
        self.decoder = keras.Sequential(
            [keras.Input((image_size[0] // 16, image_size[1] // 16, width)), keras.layers.ReLU()]
            + [
                keras.layers.Conv2DTranspose(count, 4, strides=2, padding="same", activation="relu")
                for count in (width, 48, 24)
            ]
            + [keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same")],
            name="decoder",
        )
        flat = self.patches * width

        def fixed(name, shape, initializer="zeros"):
            return self.add_weight(shape=shape, initializer=initializer, trainable=False, name=name)

        self.token_mean, self.token_scale = (
            fixed("token_mean", (width,)),
            fixed("token_scale", (width,), "ones"),
        )
        self.map_mean, self.whitening = fixed("map_mean", (flat,)), fixed("whitening", (flat, width))
        code = np.random.default_rng(seed).normal(0, code_scale, (2 + self.patches, width))
        self.code = fixed("code", code.shape, keras.initializers.Constant(code.astype("float32")))

    def build(self, input_shape):
        self.built = True

    def call(self, images):
        maps = ops.reshape(self.encoder(unit_range(images)[..., None]), (-1, self.patches, self.image_dim))
        whole = ops.reshape(maps, (-1, self.patches * self.image_dim)) - ops.copy(self.map_mean)
        patches = (maps - ops.copy(self.token_mean)) / ops.copy(self.token_scale)
        tokens = [
            ops.matmul(whole, ops.copy(self.whitening))[:, None],
            ops.mean(patches, axis=1, keepdims=True),
            patches,
        ]
        return ops.concatenate(tokens, axis=1) + ops.copy(self.code)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        clean = unit_range(x)[..., None]
        noisy = clean + self.noise * keras.random.normal(ops.shape(clean), seed=self.noise_seed)
        restored = self.decoder(self.encoder(noisy, training=training), training=training)
        return total_loss(self, mean=ops.mean(ops.square(restored - clean)))

    def adapt(self, images: np.ndarray) -> None:
        """Sets the statistics of the tokens.

        Args:
            images: `(images, height, width)`, those of training patients only; with fewer than `width + 1` of
                them the last components are 0.

        Raises:
            ValueError: if there are fewer than two images.
        """
        from sklearn.decomposition import PCA

        if len(images) < 2:
            raise ValueError(f"images must be at least two, got {len(images)}.")
        batches = np.array_split(np.arange(len(images)), -(-len(images) // 256))
        maps = [
            ops.convert_to_numpy(self.encoder(unit_range(images[rows])[..., None], training=False))
            for rows in batches
        ]
        maps = np.concatenate(maps).reshape(len(images), self.patches, self.image_dim)
        self.token_mean.assign(maps.mean(axis=(0, 1)))
        self.token_scale.assign(maps.std(axis=(0, 1)) + 1e-6)
        count = min(self.image_dim, len(images) - 1)
        pca = PCA(count, whiten=True, svd_solver="full", random_state=0).fit(maps.reshape(len(images), -1))
        matrix = pca.components_.T / np.sqrt(np.maximum(pca.explained_variance_, 1e-12))
        self.map_mean.assign(pca.mean_)
        self.whitening.assign(np.pad(matrix, [[0, 0], [0, self.image_dim - count]]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 + self.patches, self.image_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "width": self.image_dim,
            "noise": self.noise,
            "code_scale": self.code_scale,
            "seed": self.seed,
        }


class ImageBatches(ArrayBatches):
    """Batches of images, full ones only.

    Args:
        images: `(images, height, width)`, bytes or floats in [0, 1].
        batch_size, shuffle, seed: see `contrast.data.batches.ArrayBatches`.
    """

    def __init__(self, images, batch_size=64, shuffle=True, seed=0):
        super().__init__({"images": images}, min(batch_size, len(images)), shuffle, seed, drop_remainder=True)

    def __getitem__(self, index):
        return self.arrays["images"][self.rows(index)]


def unit_range(images):
    """Images as floats; bytes are divided by 255."""
    if keras.backend.standardize_dtype(images.dtype) == "uint8":
        return ops.cast(images, "float32") / 255.0
    return ops.cast(images, "float32")
