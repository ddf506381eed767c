"""The sizes of the networks of both stages, and how they are built from them."""

import dataclasses
from dataclasses import dataclass

import keras

from applications.sign_translation.text import PAD_ID
from applications.sign_translation.visual_encoder import VisualEncoder
from contrast.decoding import FeatureDecoder
from contrast.encoders import TextTransformer


@dataclass(frozen=True)
class Architecture:
    """Sizes that both stages share; the defaults are those of the paper's official code.

    Two things differ from it: hidden layers use GELU everywhere, and the text side starts from random weights
    instead of a pretrained mBART's.

    Args:
        vocabulary_size: ids of the tokens are below it; 1 is padding, 2 the end of a sentence.
        frame_shape: `(height, width, channels)` of a frame, or `(features,)` where frames come as vectors.
        frame_encoder: `"resnet18"`, keras-hub's; `"convolutions"`, three of them, for small frames;
            `"dense"`, one layer, for vectors; `"identity"`, for features that are made already.
        frame_width: width of a frame's features; ResNet-18 has 512.
        dim: width of all tokens.
        depth, heads, mlp_ratio: of the visual transformer encoder and the text decoder.
        text_depth, text_heads: of the text encoder.
        dropout: of the visual encoder and the decoder.
        text_dropout: of the text encoder.
        max_frames: frames of the longest clip.
        max_length: tokens of the longest sentence, its end and language included.
        masked_normalization: leave padding out of the statistics along time; the official code does not.
        sign_embedding: whether the second stage has a new dense layer before its transformer.
        seed: of the dropout.

    Raises:
        ValueError: if the frame encoder is unknown, or does not take frames of this shape.

    Example:

    >>> from applications.sign_translation.architecture import Architecture
    >>> small = Architecture.small(vocabulary_size=71)
    >>> small.dim, small.frame_shape
    (64, (32, 32, 1))
    """

    vocabulary_size: int
    frame_shape: tuple[int, ...] = (224, 224, 3)
    frame_encoder: str = "resnet18"
    frame_width: int = 512
    dim: int = 1024
    depth: int = 3
    heads: int = 8
    mlp_ratio: int = 4
    text_depth: int = 12
    text_heads: int = 16
    dropout: float = 0.1
    text_dropout: float = 0.3
    max_frames: int = 300
    max_length: int = 152
    masked_normalization: bool = False
    sign_embedding: bool = True
    seed: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "frame_shape", tuple(self.frame_shape))
        if self.frame_encoder not in FRAME_ENCODERS:
            raise ValueError(
                f"frame_encoder must be one of {', '.join(FRAME_ENCODERS)}, got {self.frame_encoder!r}."
            )
        rank = 1 if self.frame_encoder in ("dense", "identity") else 3
        if len(self.frame_shape) != rank:
            raise ValueError(
                f"frame_shape must be {'(features,)' if rank == 1 else '(height, width, channels)'} for "
                f"{self.frame_encoder}, got {self.frame_shape}."
            )
        if rank == 3 and min(self.frame_shape[:2]) < 8:
            raise ValueError(f"frames must be at least 8 pixels a side, got frame_shape {self.frame_shape}.")

    @classmethod
    def full_size(cls, vocabulary_size: int, **options) -> "Architecture":
        """The paper's: ResNet-18 on frames of 224 pixels, width 1024, a text encoder of 12 layers."""
        return cls(vocabulary_size, **options)

    @classmethod
    def small(
        cls, vocabulary_size: int, frame_shape: tuple[int, ...] = (32, 32, 1), **options
    ) -> "Architecture":
        """For a laptop: width 64, two layers each; frames of 32 pixels, or vectors such as joints."""
        options = {
            "frame_encoder": "convolutions" if len(frame_shape) == 3 else "dense",
            "frame_width": 64,
            "dim": 64,
            "depth": 2,
            "heads": 4,
            "mlp_ratio": 2,
            "text_depth": 2,
            "text_heads": 4,
            "text_dropout": 0.1,
            "max_length": 32,
            "masked_normalization": True,
            **options,
        }
        return cls(vocabulary_size, frame_shape, **options)

    def build_frame_encoder(self) -> keras.Model:
        """A model from frames `(frames, *frame_shape)` to features `(frames, width)`."""
        return FRAME_ENCODERS[self.frame_encoder](self.frame_shape, self.frame_width)

    def build_visual_encoder(self, sign_embedding: bool, frame_encoder=None) -> VisualEncoder:
        """The visual encoder of the first stage, or of the second with its new dense layer.

        Args:
            sign_embedding: whether there is that layer.
            frame_encoder: a model on frames, instead of the one that is named here.
        """
        return VisualEncoder(
            frame_encoder or self.build_frame_encoder(),
            dim=self.dim,
            depth=self.depth,
            heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            max_frames=self.max_frames,
            dropout=self.dropout,
            sign_embedding=sign_embedding,
            masked_normalization=self.masked_normalization,
            seed=self.seed,
            name="visual_encoder",
        )

    def build_text_encoder(self) -> TextTransformer:
        """The text encoder, which the first stage only has.

        A sentence's vector stands at its last token, the language code. The official code looks for that
        place as the largest id, which fails as soon as a token has an id above the language code's.
        """
        return TextTransformer(
            self.vocabulary_size,
            dim=self.dim,
            depth=self.text_depth,
            heads=self.text_heads,
            mlp_ratio=self.mlp_ratio,
            max_length=self.max_length,
            pooling="last",
            dropout=self.text_dropout,
            padding_id=PAD_ID,
            seed=self.seed,
            name="text_encoder",
        )

    def build_decoder(self) -> FeatureDecoder:
        """The text decoder, alike in both stages."""
        return FeatureDecoder(
            self.vocabulary_size,
            dim=self.dim,
            depth=self.depth,
            heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            max_length=self.max_length,
            padding_id=PAD_ID,
            dropout=self.dropout,
            seed=self.seed,
            name="decoder",
        )

    def to_dict(self) -> dict:
        """As plain values, for a config; `Architecture(**values)` reads them."""
        return dataclasses.asdict(self)


def _resnet18(frame_shape, width):
    from keras_hub.models import ResNetBackbone

    if width != 512:
        raise ValueError(f"frame_width must be 512 for resnet18, got {width}.")
    if frame_shape[-1] != 3:
        raise ValueError(f"resnet18 needs frames with 3 channels, got frame_shape {frame_shape}.")
    backbone = ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=frame_shape,
        name="resnet18",
    )
    # Frames lie in [0, 1]; these are the means and deviations of ImageNet's pixels.
    normalize = keras.layers.Normalization(
        mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2], name="pixels"
    )
    return keras.Sequential(
        [keras.Input(frame_shape), normalize, backbone, keras.layers.GlobalAveragePooling2D()],
        name="frame_encoder",
    )


def _convolutions(frame_shape, width):
    layers = [keras.Input(frame_shape)]
    for filters, size, strides in ((16, 4, 4), (32, 3, 1), (48, 3, 2)):
        layers += [
            keras.layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            keras.layers.ReLU(),
        ]
    return keras.Sequential(
        [*layers, keras.layers.Flatten(), keras.layers.Dense(width)], name="frame_encoder"
    )


def _dense(frame_shape, width):
    return keras.Sequential([keras.Input(frame_shape), keras.layers.Dense(width)], name="frame_encoder")


def _identity(frame_shape, width):
    return keras.Sequential([keras.Input(frame_shape), keras.layers.Identity()], name="frame_encoder")


FRAME_ENCODERS = {
    "resnet18": _resnet18,
    "convolutions": _convolutions,
    "dense": _dense,
    "identity": _identity,
}
