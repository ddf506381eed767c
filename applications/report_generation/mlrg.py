"""MLRG: from ragged studies to the findings section of a report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import ops

from applications.report_generation.architecture import as_architecture
from applications.report_generation.batches import StudyBatches
from applications.report_generation.image_features import ImageFeatures, encode_images
from applications.report_generation.image_side import ImageSide
from applications.report_generation.multimodal import MultimodalBlock
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.study import MAX_COMPANIONS, Study
from applications.report_generation.text import BOS_ID, EOS_ID, PAD_ID, ReportTokenizer, check_absence
from applications.report_generation.text_side import TextSide
from contrast import backend
from contrast.decoding import BeamSearch, SequenceCrossEntropy, shift_right
from contrast.losses import total_loss
from contrast.transfer import TransferReport, copy_weights, weight_names

SHARED = ("image_side", "text_side")
READ = ("images", "positions", "prior", "present", "prompt", "segments")


@dataclass(frozen=True)
class Report:
    """The draft of a report.

    Args:
        findings: the best text.
        score: its mean log-probability a token (with `length_penalty=1`).
        alternatives: pairs of a text and its score, best first; the first one is `findings`.
        tokens: ids of the best text, its end included.
        attention: `(tokens, image tokens)`, how much each token looked at each token of the anchor, as
            projected and as fused; mean over layers and heads. `None` unless asked for.
        companions: `(image tokens, companions, tokens)`, how much each token of the anchor looked at those of
            the companions in the fusion, mean over layers; with `attention`.
    """

    findings: str
    score: float
    alternatives: tuple[tuple[str, float], ...]
    tokens: tuple[int, ...]
    attention: np.ndarray | None = None
    companions: np.ndarray | None = None


@keras.saving.register_keras_serializable(package="report_generation")
class MLRG(keras.Model):
    """Writes the findings of a study: the second stage of MLRG.

    The anchor's tokens, as projected and as fused with those of its companions, read the prompt of indication
    and previous facts; a decoder attends to them. A missing text stands in the prompt as a token of its own,
    and an anchor without companions leaves the fusion out.

    It drafts text for research. It is no medical device, and nobody should act on what it writes.

    Args:
        architecture: an `Architecture`, or its values as a dict.
        tokenizer: of the reports, as a `ReportTokenizer` or the text of its definition; saved with the model.
            `None`: the model cannot `report`.
        image_encoder: the frozen encoder whose tokens the model was trained on, see `image_encoders`; `None`:
            `report` needs `features`.
        absence: what stands for a missing text: `"tokens"`, or `"empty"`, nothing.

    Inputs: the dict that `StudyBatches` makes; of `findings`, `[BOS] ... [EOS]` padded with 0, the decoder
        reads all but the last token of each. A call returns logits `(batch, length - 1, vocabulary)`.

    Raises:
        ValueError: if `absence` is unknown.

    Example:

    >>> from applications.report_generation.architecture import Architecture
    >>> from applications.report_generation.mlrg import MLRG
    >>> model = MLRG(Architecture.small(50, image_dim=12, dim=8, projection_dim=8, fusion_head_dim=2))
    >>> batch = {
    ...     "images": np.ones((2, 2, 5, 12), "float32"), "positions": np.zeros((2, 2), "int32"),
    ...     "prior": np.zeros((2, 2), "int32"), "present": np.array([[True, True], [True, False]]),
    ...     "prompt": np.array([[4, 8, 5], [4, 9, 5]]), "segments": np.zeros((2, 3), "int32"),
    ...     "findings": np.array([[2, 9, 9, 3], [2, 9, 3, 0]]),
    ... }
    >>> tuple(model(batch).shape)
    (2, 3, 50)

    Reference: [Liu et al., 2025](https://arxiv.org/abs/2502.20056).
    """

    def __init__(self, architecture, tokenizer=None, image_encoder=None, absence="tokens", **kwargs):
        super().__init__(**kwargs)
        check_absence(absence)
        self.architecture, self.absence = as_architecture(architecture), absence
        self.tokenizer = ReportTokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
        self.image_encoder = image_encoder
        if image_encoder is not None:
            image_encoder.trainable = False
        sizes = self.architecture
        self.image_side = ImageSide(sizes, name="image_side")
        self.text_side = TextSide(sizes, name="text_side")
        self.stream_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="stream_norm")
        self.multimodal = [
            MultimodalBlock(
                sizes.multimodal_heads,
                sizes.mlp_ratio * sizes.dim,
                sizes.dropout,
                None if sizes.seed is None else sizes.seed + 10 + 2 * number,
                name=f"multimodal_{number}",
            )
            for number in range(sizes.multimodal_depth)
        ]
        self.decoder = sizes.build_decoder()
        self.sequence_loss = SequenceCrossEntropy(padding_id=PAD_ID)
        self._searches = {}
        self._encode = backend.compiled(self._features_of, lambda: self.variables)

    def build(self, input_shape=None):
        sizes = self.architecture
        tokens = (None, None, sizes.dim)
        self.image_side.build(None)
        self.text_side.build((None, sizes.max_prompt))
        self.streams = self.add_weight(
            shape=(2, sizes.dim), initializer=keras.initializers.RandomUniform(0, 1), name="streams"
        )
        self.stream_norm.build(tokens)
        for block in self.multimodal:
            block.build(tokens)
        self.decoder.build({"features": tokens, "ids": (None, sizes.max_length)})
        self.built = True

    def call(self, inputs, training=None):
        features = self.features(inputs, training)
        findings = ops.cast(inputs["findings"], "int32")
        return self.decoder({"features": features, "ids": findings[:, :-1]}, training=training)

    def features(self, inputs, training=None):
        """What the decoder attends to, `(batch, 2 * tokens, dim)`: the anchor as projected and as fused."""
        projected, fused = self.image_side(inputs, training=training)
        both = ops.concatenate([projected[:, 0] + self.streams[0], fused + self.streams[1]], axis=1)
        x = self.stream_norm(both)
        prompt = ops.cast(inputs["prompt"], "int32")
        real = ops.not_equal(prompt, PAD_ID)
        words = self.text_side(prompt, inputs["segments"], real=real, training=training)
        for block in self.multimodal:
            x = block(x, words, real, training=training)
        return x

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        return total_loss(self, loss=self.sequence_loss(x["findings"][:, 1:], y_pred))

    def report(
        self,
        studies: Study | Sequence[Study],
        beam_width: int = 3,
        max_length: int | None = None,
        length_penalty: float = 1.0,
        features: ImageFeatures | None = None,
        attention: bool = False,
        batch_size: int = 32,
    ) -> list[Report]:
        """Drafts of the findings of studies, by beam search.

        Args:
            studies: one or several; their findings are not read. The first view of each is the anchor.
            beam_width: how many texts are followed at once; 1 is greedy search.
            max_length: most tokens of a text; `None`: as many as the decoder can write.
            length_penalty: 0 favours short texts, 1 is the mean over tokens.
            features: tokens of the images, if they are known already; `None`: the image encoder makes them.
            attention: whether to add what each token looked at.
            batch_size: studies that are read at once.

        Returns:
            A `Report` for each study, in their order.

        Raises:
            ValueError: if there is no study, a number is out of range, or the model has no tokenizer, or
                neither an image encoder nor features.
        """
        studies = [studies] if isinstance(studies, Study) else list(studies)
        if not studies:
            raise ValueError("studies must be at least one, got none.")
        if self.tokenizer is None:
            raise ValueError("report needs a tokenizer; make the model with MLRG(..., tokenizer=...).")
        if features is None:
            features = self.encode(studies)
        # The last batch is filled up, so that all have one shape.
        batch_size = max(1, min(batch_size, len(studies)))
        studies = [replace(study, findings=None, facts=()) for study in studies]
        filled = [*studies, *studies[-1:] * (-len(studies) % batch_size)]
        batches = StudyBatches(
            filled, features, self.tokenizer, batch_size, "first", MAX_COMPANIONS,
            max_prompt=self.architecture.max_prompt, absence=self.absence, shuffle=False,
        )  # fmt: skip
        if max_length is None:
            max_length = self.architecture.max_length - 1
        search = self._search(beam_width, max_length, length_penalty)
        reports = []
        for number in range(len(batches)):
            batch = batches[number]
            states = self._encode(*(ops.convert_to_tensor(batch[name]) for name in READ))
            texts = search(states)
            looked = self._looked(batch, states, texts.tokens) if attention else ()
            reports += [self._report(texts, place, *looked) for place in range(batch_size)]
        return reports[: len(studies)]

    def encode(self, studies: Sequence[Study], folder=None, verbose: bool = False) -> ImageFeatures:
        """The tokens of the images of studies, by the model's own encoder; see `encode_images`."""
        if self.image_encoder is None:
            raise ValueError(
                "the model has no image_encoder; make it with MLRG(..., image_encoder=...) or give features."
            )
        return encode_images(studies, self.image_encoder, folder, verbose=verbose)

    def _search(self, beam_width, max_length, length_penalty):
        key = (beam_width, max_length, length_penalty)
        if key not in self._searches:
            self._searches[key] = BeamSearch(
                self.decoder,
                start_id=BOS_ID,
                end_id=EOS_ID,
                padding_id=PAD_ID,
                max_length=max_length,
                beam_width=beam_width,
                length_penalty=length_penalty,
            )
        return self._searches[key]

    def _features_of(self, *tensors):
        return self.features(dict(zip(READ, tensors, strict=True)), training=False)

    def _looked(self, batch, states, tokens):
        inputs = {"features": states, "ids": shift_right(tokens, BOS_ID)}
        looked = ops.stop_gradient(self.decoder.cross_attention(inputs))
        companions = ops.stop_gradient(self.image_side.attention(batch))
        return tuple(ops.convert_to_numpy(weights).mean(axis=1) for weights in (looked, companions))

    def _report(self, texts, place, looked=None, companions=None):
        findings = self.tokenizer.decode(texts.alternatives[place])
        alternatives = tuple(
            (text, float(score))
            for text, score in zip(findings, texts.alternative_scores[place], strict=True)
            if np.isfinite(score)
        )
        tokens = tuple(int(token) for token in texts.tokens[place] if token != PAD_ID)
        if looked is None:
            return Report(*alternatives[0], alternatives, tokens)
        return Report(*alternatives[0], alternatives, tokens, looked[place][: len(tokens)], companions[place])

    def get_config(self):
        encoder = self.image_encoder
        return {
            **super().get_config(),
            "architecture": self.architecture.to_dict(),
            "tokenizer": None if self.tokenizer is None else self.tokenizer.definition,
            "image_encoder": None if encoder is None else keras.saving.serialize_keras_object(encoder),
            "absence": self.absence,
        }

    @classmethod
    def from_config(cls, config):
        encoder = config["image_encoder"]
        if encoder is not None:
            encoder = keras.saving.deserialize_keras_object(encoder)
        return cls(**{**config, "image_encoder": encoder})


def transfer_first_stage(first: MLRGPretraining, model: MLRG) -> TransferReport:
    """Starts the second stage from the first; every weight that should move does, or none.

    Projection heads, embeddings, the fusion and the text encoder move; the streams' embeddings and
    normalisation, the multimodal layers and the decoder keep their start.

    Args:
        first: a trained `MLRGPretraining`.
        model: a built `MLRG` of the same architecture.

    Returns:
        The report of `contrast.transfer.copy_weights`.

    Raises:
        ValueError: if names or shapes do not fit; the model is then as it was.
    """
    report = copy_weights(first, model, {part: part for part in SHARED})
    expected = {name for name in weight_names(model) if name.split("/")[0] in SHARED}
    if {row.target for row in report.moved} != expected:
        raise ValueError(f"the first stage did not fill what it should:\n{report}")
    return report
