"""The sizes of the model's parts, and the parts that both stages have."""

import dataclasses
from dataclasses import dataclass

import keras

from applications.report_generation.text import PAD_ID
from contrast.decoding import FeatureDecoder
from contrast.encoders import TextTransformer

TEXT_ENCODERS = ("transformer", "bert")


@dataclass(frozen=True)
class Architecture:
    """The sizes of MLRG; the defaults are those of the official code.

    Args:
        vocabulary_size: of the tokenizer.
        image_dim: width of the frozen image tokens.
        dim: width of all tokens.
        projection_dim: hidden width of both projection heads.
        fusion_depth, fusion_heads, fusion_head_dim: of the attention of the anchor's tokens to those of its
            companions.
        text_encoder: `"bert"`, keras-hub's, as CXR-BERT is; or `"transformer"`, this library's.
        text_depth, text_heads: of the text encoder.
        multimodal_depth, multimodal_heads: of the layers in which image tokens read the prompt.
        decoder_depth, decoder_heads: of the decoder.
        mlp_ratio: width of hidden layers over `dim`, but those of the fusion, which are `dim` wide.
        dropout: everywhere but in the fusion.
        max_length: most tokens of a report, its start and end included.
        max_facts: most tokens of the facts that stage 1 reads.
        max_prompt: most tokens of indication and previous facts.
        seed: of the dropout.

    Raises:
        ValueError: if the text encoder is unknown or a width is no multiple of its heads.

    Example:

    >>> from applications.report_generation.architecture import Architecture
    >>> Architecture.small(vocabulary_size=200, image_dim=96).dim
    64
    """

    vocabulary_size: int
    image_dim: int = 768
    dim: int = 768
    projection_dim: int = 1536
    fusion_depth: int = 3
    fusion_heads: int = 8
    fusion_head_dim: int = 192
    text_encoder: str = "bert"
    text_depth: int = 6
    text_heads: int = 12
    multimodal_depth: int = 1
    multimodal_heads: int = 8
    decoder_depth: int = 6
    decoder_heads: int = 12
    mlp_ratio: int = 4
    dropout: float = 0.1
    max_length: int = 100
    max_facts: int = 100
    max_prompt: int = 200
    seed: int | None = None

    def __post_init__(self):
        if self.text_encoder not in TEXT_ENCODERS:
            raise ValueError(
                f"text_encoder must be {' or '.join(map(repr, TEXT_ENCODERS))}, got {self.text_encoder!r}."
            )
        for name in ("text_heads", "multimodal_heads", "decoder_heads"):
            if self.dim % getattr(self, name):
                raise ValueError(f"{name} must divide dim={self.dim}, got {getattr(self, name)}.")

    @classmethod
    def small(cls, vocabulary_size: int, image_dim: int = 96, **options) -> "Architecture":
        """For small images and a few thousand studies on a laptop."""
        options = {
            "dim": 64,
            "projection_dim": 128,
            "fusion_depth": 2,
            "fusion_heads": 4,
            "fusion_head_dim": 16,
            "text_encoder": "transformer",
            "text_depth": 2,
            "text_heads": 4,
            "multimodal_heads": 4,
            "decoder_depth": 2,
            "decoder_heads": 4,
            **options,
        }
        return cls(vocabulary_size, image_dim, **options)

    def to_dict(self) -> dict:
        """All values, from which `Architecture(**values)` is made again."""
        return dataclasses.asdict(self)

    def build_text_encoder(self) -> keras.Model:
        """From ids to a state for each token, by `token_features(ids, training, segment_ids)`."""
        options = {
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "depth": self.text_depth,
            "heads": self.text_heads,
            "mlp_ratio": self.mlp_ratio,
            "max_length": max(self.max_facts, self.max_prompt),
            "dropout": self.dropout,
            "name": "text_encoder",
        }
        if self.text_encoder == "bert":
            from applications.report_generation.bert_text import BertText

            return BertText(**options)
        return TextTransformer(**options, pooling="first", seed=self.seed, padding_id=PAD_ID, segments=2)

    def build_decoder(self) -> FeatureDecoder:
        """The decoder, whose output is tied to its embedding as in GPT-2."""
        return FeatureDecoder(
            self.vocabulary_size,
            dim=self.dim,
            depth=self.decoder_depth,
            heads=self.decoder_heads,
            mlp_ratio=self.mlp_ratio,
            max_length=self.max_length,
            padding_id=PAD_ID,
            tied=True,
            dropout=self.dropout,
            seed=self.seed,
            name="decoder",
        )


def as_architecture(value) -> Architecture:
    """An `Architecture`, from one or from its values."""
    return value if isinstance(value, Architecture) else Architecture(**value)
