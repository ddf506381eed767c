"""GFSLT-VLP: from signed clips to sentences, without glosses."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.batches import clip_batches
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.stage_one import (
    VLP,
    as_architecture,
    saved_frame_encoder,
    with_frame_encoder,
)
from applications.sign_translation.text import END_ID, PAD_ID, SentenceTokenizer
from contrast.decoding import SequenceCrossEntropy, generate, last_tokens, shift_right
from contrast.features import predict_rows
from contrast.losses import total_loss
from contrast.transfer import TransferReport, copy_weights, weight_names

VARIANTS = ("v1", "v2")


@dataclass(frozen=True)
class Translation:
    """What a clip was taken to say.

    Args:
        sentence: the best sentence.
        score: its mean log-probability a token (with `length_penalty=1`).
        alternatives: pairs of a sentence and its score, best first; the first one is the sentence.
        tokens: ids of the best sentence, its end included.
        attention: `(tokens, clip tokens)`, how much each token looked at each part of the clip, mean over
            layers and heads; clip token j is centred on frame 4j. `None` unless asked for.
    """

    sentence: str
    score: float
    alternatives: tuple[tuple[str, float], ...]
    tokens: tuple[int, ...]
    attention: np.ndarray | None = None


@keras.saving.register_keras_serializable(package="sign_translation")
class GFSLTVLP(keras.Model):
    """Writes the sentence that a clip signs: the second stage of GFSLT-VLP.

    The visual encoder and the text decoder of the first stage become one encoder-decoder, with a new dense
    layer before the visual transformer; all of it is trained on label-smoothed cross-entropy.

    Args:
        architecture: an `Architecture`, or its values as a dict.
        tokenizer: of the sentences, as a `SentenceTokenizer` or what `tokenizer_config` made of one; saved
            with the model. `None`: the model cannot `translate`.
        label_smoothing: from 0 to below 1.
        frame_encoder: a model from frames to features instead of the one that the architecture names.

    Inputs: a dict of `frames`, `frame_mask` (see `VisualEncoder`) and `tokens` `(batch, length)`, sentences
        that end with a language code, padded with 1; `clip_batches` makes them. A call returns logits
        `(batch, length, vocabulary)`.

    Example:

    >>> from applications.sign_translation.architecture import Architecture
    >>> from applications.sign_translation.batches import clip_batches
    >>> from applications.sign_translation.gfslt_vlp import GFSLTVLP
    >>> model = GFSLTVLP(Architecture.small(12, frame_shape=(6,), dim=8, max_frames=24))
    >>> clips = [np.ones((length, 6), "float32") for length in (20, 9)]
    >>> logits = model(clip_batches(clips, np.array([[7, 8, 2, 11], [9, 2, 11, 1]]))[0])
    >>> tuple(logits.shape)
    (2, 4, 12)

    Reference: [Zhou et al., 2023](https://arxiv.org/abs/2307.14768), section 3.3.
    """

    def __init__(self, architecture, tokenizer=None, label_smoothing=0.2, frame_encoder=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(tokenizer, dict):
            tokenizer = SentenceTokenizer(**tokenizer)
        self.tokenizer = tokenizer
        architecture = as_architecture(architecture)
        self.architecture, self.label_smoothing = architecture, label_smoothing
        self.own_frame_encoder = frame_encoder is not None
        self.visual_encoder = architecture.build_visual_encoder(architecture.sign_embedding, frame_encoder)
        self.decoder = architecture.build_decoder()
        self.sequence_loss = SequenceCrossEntropy(label_smoothing, PAD_ID)

    def build(self, input_shape):
        tokens = tuple(input_shape["tokens"])
        self.visual_encoder.build({"frames": input_shape["frames"]})
        self.decoder.build({"features": (tokens[0], None, self.architecture.dim), "ids": tokens})
        self.built = True

    def call(self, inputs, training=None):
        tokens = inputs["tokens"]
        signs, mask = self.visual_encoder.signs(inputs, training)
        states, mask = self.visual_encoder.encode(signs, mask, training=training)
        ids = shift_right(tokens, last_tokens(tokens, PAD_ID))
        return self.decoder({"features": states, "feature_mask": mask, "ids": ids}, training=training)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        return total_loss(self, loss=self.sequence_loss(x["tokens"], y_pred))

    def translate(
        self,
        clips: Sequence[np.ndarray | SignedClip],
        beam_width: int = 4,
        max_length: int | None = None,
        length_penalty: float = 1.0,
        prompt: str = "",
        attention: bool = False,
        batch_size: int = 32,
        buckets: int | Sequence[int] = 4,
    ) -> list[Translation]:
        """The sentences that clips sign, by beam search.

        Args:
            clips: arrays `(frames, ...)` as in training, or `SignedClip`, of which only the frames are read.
            beam_width: how many sentences are followed at once; 1 is greedy search.
            max_length: most tokens of a sentence; `None`: as many as the decoder can write.
            length_penalty: 0 favours short sentences, 1 is the mean over tokens.
            prompt: words that every sentence begins with.
            attention: whether to add what each token looked at.
            batch_size: clips that are translated at once.
            buckets: see `clip_batches`. `(max_frames,)` gives all batches one shape, for which a service that
                is sent one clip after the other compiles once.

        Returns:
            A `Translation` for each clip, in their order.

        Raises:
            ValueError: if there is no clip, one has no frames or frames of another size than those of
                training, a number is out of range, or the model has no tokenizer.
        """
        if self.tokenizer is None:
            raise ValueError("translate needs a tokenizer; make the model with GFSLTVLP(..., tokenizer=...).")
        clips = [clip.frames if isinstance(clip, SignedClip) else clip for clip in clips]
        batches = clip_batches(
            clips,
            batch_size=batch_size,
            max_frames=self.architecture.max_frames,
            buckets=buckets,
            shuffle=False,
        )
        self.check_frames(clips)
        language, begin = self.tokenizer.language_id, None
        if prompt.strip():
            begin = self.tokenizer.encode([prompt])[:, :-2]
        options = {
            "start_id": language,
            "end_id": END_ID,
            "padding_id": PAD_ID,
            "max_length": self.architecture.max_length if max_length is None else max_length,
            "beam_width": beam_width,
            "length_penalty": length_penalty,
        }
        found: list[Translation | None] = [None] * len(clips)
        for number in range(len(batches)):
            batch = batches[number]
            frames = {name: batch[name] for name in ("frames", "frame_mask")}
            states = predict_rows(self.visual_encoder, frames)
            mask = ops.convert_to_numpy(self.visual_encoder.token_mask(batch["frame_mask"]))
            begins = None if begin is None else np.repeat(begin, len(states), axis=0)
            texts = generate(self.decoder, states, mask, prompt=begins, **options)
            looked = self._looked(states, mask, texts.tokens) if attention else None
            for place, row in enumerate(batch["rows"]):
                one = None if looked is None else looked[place][:, mask[place]]
                found[row] = self._translation(texts, place, one)
        return found

    def check_frames(self, clips: Sequence[np.ndarray]) -> None:
        """Raises a ValueError unless the clips have frames of the size that the model was made for."""
        for number, clip in enumerate(clips):
            if np.shape(clip)[1:] != self.architecture.frame_shape:
                raise ValueError(
                    f"clips must be (frames, {', '.join(map(str, self.architecture.frame_shape))}); clip "
                    f"{number} has shape {np.shape(clip)}."
                )

    def _looked(self, states, mask, tokens):
        ids = shift_right(tokens, self.tokenizer.language_id)
        inputs = {"features": states, "feature_mask": mask, "ids": ids}
        return ops.convert_to_numpy(ops.stop_gradient(self.decoder.cross_attention(inputs))).mean(axis=1)

    def _translation(self, texts, place, looked):
        scores = texts.alternative_scores[place]
        sentences = self.tokenizer.decode(texts.alternatives[place])
        alternatives = tuple(
            (sentence, float(score))
            for sentence, score in zip(sentences, scores, strict=True)
            if np.isfinite(score)
        )
        tokens = tuple(int(token) for token in texts.tokens[place] if token != PAD_ID)
        attention = None if looked is None else looked[: len(tokens)]
        return Translation(*alternatives[0], alternatives, tokens, attention)

    def get_config(self):
        return {
            **super().get_config(),
            "architecture": self.architecture.to_dict(),
            "tokenizer": None if self.tokenizer is None else tokenizer_config(self.tokenizer),
            "label_smoothing": self.label_smoothing,
            "frame_encoder": saved_frame_encoder(self),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**with_frame_encoder(config))

    @classmethod
    def from_backbone(
        cls,
        backbone: keras.Model,
        tokenizer: SentenceTokenizer,
        architecture: Architecture | None = None,
        **options,
    ) -> "GFSLTVLP":
        """A model whose frames are encoded by any Keras image model, of `keras.applications` or keras-hub.

        Frames come to it in [0, 1]. If it was trained on another range, put a `keras.layers.Rescaling` in
        front. For stage 1 give a `VLP` a clone of the frame encoder: `VLP(model.architecture,
        frame_encoder=keras.models.clone_model(model.visual_encoder.frame_encoder))`.

        Args:
            backbone: from images of a fixed size to features `(images, width)`, or to maps
                `(images, height, width, channels)`, of which the mean over places is taken; trained along
                unless its `trainable` is False.
            tokenizer: of the sentences.
            architecture: sizes of all other parts; `None`: `Architecture.small` for the images of the
                backbone and the vocabulary of the tokenizer.
            **options: further arguments of `GFSLTVLP`.

        Raises:
            ValueError: if the backbone does not take images of a fixed size, or gives neither features nor
                one map, or the architecture has other frames.

        Example:

        >>> from applications.sign_translation.gfslt_vlp import GFSLTVLP
        >>> from applications.sign_translation.text import SentenceTokenizer
        >>> pixels = keras.Input((32, 32, 3))
        >>> maps = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.Rescaling(2, -1)(pixels))
        >>> tokenizer = SentenceTokenizer.fit(["rain in the north", "sun"])
        >>> model = GFSLTVLP.from_backbone(keras.Model(pixels, maps), tokenizer)
        >>> model.architecture.frame_shape, model.visual_encoder.frame_encoder.output_shape
        ((32, 32, 3), (None, 8))
        """
        shapes = getattr(backbone, "input_shape", None), getattr(backbone, "output_shape", None)
        given, made = (shape if isinstance(shape, tuple) else () for shape in shapes)
        if len(given) != 4 or None in given[1:] or len(made) not in (2, 4):
            raise ValueError(
                "backbone must go from images of a fixed size (images, height, width, channels) to features "
                f"or one map, got {shapes[0]} to {shapes[1]}."
            )
        architecture = architecture or Architecture.small(tokenizer.size, given[1:])
        if architecture.frame_shape != given[1:]:
            raise ValueError(
                f"architecture must have frames as the backbone takes them, {given[1:]}, got frame_shape "
                f"{architecture.frame_shape}."
            )
        layers = [keras.Input(given[1:]), backbone]
        if len(made) == 4:
            layers.append(keras.layers.GlobalAveragePooling2D())
        return cls(
            architecture,
            tokenizer,
            frame_encoder=keras.Sequential(layers, name="frame_encoder"),
            **options,
        )


def transfer_first_stage(first: VLP, model: GFSLTVLP, variant: str = "v2") -> TransferReport:
    """Starts the second stage from the first; every weight that should move does, or none.

    Args:
        first: a trained `VLP`.
        model: a built `GFSLTVLP` of the same architecture.
        variant: `"v1"`: the visual encoder moves; `"v2"`: the text decoder as well, with its embeddings and
            output, as there is no pretrained one to take them from. The new dense layer keeps its start.

    Returns:
        The report of `contrast.transfer.copy_weights`.

    Raises:
        ValueError: if the variant is unknown, `first` has no decoder for `"v2"`, or names or shapes do not
            fit; the model is then as it was.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be 'v1' or 'v2', got {variant!r}.")
    parts = ["visual_encoder"] if variant == "v1" else ["visual_encoder", "decoder"]
    if variant == "v2" and first.decoder is None:
        raise ValueError("variant 'v2' needs a first stage with restoration=True; it has no decoder.")
    new = [
        f"visual_encoder/{name}"
        for name in ("sign_embedding", "sign_norm")
        if model.architecture.sign_embedding
    ]
    report = copy_weights(first, model, {part: part for part in parts}, allow_missing=new)
    names = weight_names(model)
    expected = {
        name
        for name in names
        if name.split("/")[0] in parts and not any(name.startswith(f"{prefix}/") for prefix in new)
    }
    if {row.target for row in report.moved} != expected:
        raise ValueError(f"the first stage did not fill what it should:\n{report}")
    return report


def tokenizer_config(tokenizer: SentenceTokenizer) -> dict[str, str]:
    """A tokenizer as plain values; `SentenceTokenizer(**values)` is the same one."""
    return {
        "definition": tokenizer.definition,
        "level": tokenizer.level,
        "language": tokenizer.language,
    }
