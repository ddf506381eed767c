"""Stage 1: clips and sentences find each other, and a decoder learns to restore masked sentences."""

import math

import keras
from keras import ops

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.text import PAD_ID
from contrast import backend
from contrast.decoding import SequenceCrossEntropy, last_tokens, shift_right
from contrast.layers import Temperature
from contrast.losses import SoftTargetContrastive, reported_loss, total_loss

SAME_SENTENCE = ("negative", "ignore")


@keras.saving.register_keras_serializable(package="sign_translation")
class VLP(keras.Model):
    r"""Visual-language pretraining, the first stage of GFSLT-VLP.

    The clip vector is what the visual transformer makes of a learned vector in front of the clip, behind a
    linear map; the sentence vector is the text encoder's state at the last token. `clip_sentence_loss` of the
    two is $L_s$. With `restoration`, the text decoder writes the clean sentence while it attends to the text
    encoder's states of the masked sentence; its label-smoothed cross-entropy is $L_c$, and no gradient of it
    goes into the text encoder. So the encoders learn the same with and without it: VLP-v1 hands on the visual
    encoder, VLP-v2 the decoder as well. The loss is $L_s + w L_c$.

    Args:
        architecture: an `Architecture`, or its values as a dict.
        restoration: whether there is a text decoder.
        restoration_weight: the factor $w$.
        label_smoothing: of the restoration.
        sharpness: see `clip_sentence_loss`.
        temperature: at the start; it is learned and belongs to the model.
        same_sentence: what clips with equal sentences are to each other: `"negative"`, as in the official
            code, or `"ignore"`.
        frame_encoder: a model from frames to features instead of the one that the architecture names.

    Inputs: a dict of `frames`, `frame_mask` (see `VisualEncoder`), `tokens` `(batch, length)`, sentences that
        end with a language code, padded with 1, and, with `restoration`, `masked_tokens`, such sentences with
        noise. A call returns a dict of `clips` and `sentences`, vectors `(batch, dim)`, and `logits`
        `(batch, length, vocabulary)`.

    Raises:
        ValueError: if an argument is out of range.

    Reference: [Zhou et al., 2023](https://arxiv.org/abs/2307.14768), section 3.2; details as in the official
        code.
    """

    def __init__(
        self,
        architecture,
        restoration=True,
        restoration_weight=1.0,
        label_smoothing=0.2,
        sharpness=10.0,
        temperature=0.07,
        same_sentence="negative",
        frame_encoder=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if same_sentence not in SAME_SENTENCE:
            raise ValueError(f"same_sentence must be 'negative' or 'ignore', got {same_sentence!r}.")
        if restoration_weight < 0:
            raise ValueError(f"restoration_weight must be at least 0, got {restoration_weight}.")
        architecture = as_architecture(architecture)
        self.architecture, self.restoration = architecture, restoration
        self.restoration_weight, self.label_smoothing = restoration_weight, label_smoothing
        self.sharpness, self.same_sentence = sharpness, same_sentence
        self.own_frame_encoder = frame_encoder is not None
        self.visual_encoder = architecture.build_visual_encoder(False, frame_encoder)
        self.text_encoder = architecture.build_text_encoder()
        self.projection = keras.layers.Dense(architecture.dim, use_bias=False, name="projection")
        # Unclamped in the official code; these bounds are out of reach.
        self.temperature = Temperature(temperature, minimum=1e-4, maximum=1e4, name="temperature")
        self.decoder = architecture.build_decoder() if restoration else None
        self.sequence_loss = SequenceCrossEntropy(label_smoothing, PAD_ID)
        self.contrast_loss = keras.metrics.Mean("contrast_loss")
        self.restoration_loss = keras.metrics.Mean("restoration_loss") if restoration else None

    def build(self, input_shape):
        dim = self.architecture.dim
        tokens = tuple(input_shape["tokens"])
        self.visual_encoder.build({"frames": input_shape["frames"]})
        self.text_encoder.build(tokens)
        self.projection.build((None, dim))
        self.clip_token = self.add_weight(
            shape=(dim,), initializer=keras.initializers.RandomNormal(stddev=1.0), name="clip_token"
        )
        if self.decoder is not None:
            self.decoder.build({"features": (*tokens, dim), "ids": tokens})
        self.built = True

    def call(self, inputs, training=None):
        tokens = inputs["tokens"]
        outputs = {
            "clips": self.clip_vectors(inputs, training),
            "sentences": self.text_encoder(tokens, training=training),
        }
        if self.decoder is not None:
            masked = inputs["masked_tokens"]
            states = ops.stop_gradient(self.text_encoder.token_features(masked, training=training))
            outputs["logits"] = self.decoder(
                {
                    "features": states,
                    "feature_mask": ops.not_equal(masked, PAD_ID),
                    "ids": shift_right(tokens, last_tokens(tokens, PAD_ID)),
                },
                training=training,
            )
        return outputs

    def clip_vectors(self, inputs, training=None):
        """Vectors of clips `(batch, dim)`, to be compared with those of sentences by their cosine.

        Args:
            inputs: a dict of `frames` and `frame_mask`.
            training: as for the call.
        """
        tokens, mask = self.visual_encoder.signs(inputs, training)
        states, _ = self.visual_encoder.encode(tokens, mask, first=self.clip_token, training=training)
        return self.projection(states[:, 0])

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        tokens = ops.cast(x["tokens"], "int32")
        same = None
        if self.same_sentence == "ignore":
            all_tokens = backend.gather(tokens)
            same = ops.all(ops.equal(all_tokens[:, None], all_tokens[None]), axis=2)
        loss = clip_sentence_loss(
            y_pred["clips"], y_pred["sentences"], self.temperature, self.sharpness, same
        )
        self.contrast_loss.update_state(reported_loss(loss))
        if self.decoder is not None:
            restored = self.sequence_loss(tokens, y_pred["logits"])
            self.restoration_loss.update_state(reported_loss(restored))
            loss = loss + self.restoration_weight * restored
        return total_loss(self, loss=loss)

    def get_config(self):
        return {
            **super().get_config(),
            "architecture": self.architecture.to_dict(),
            "restoration": self.restoration,
            "restoration_weight": self.restoration_weight,
            "label_smoothing": self.label_smoothing,
            "sharpness": self.sharpness,
            "temperature": self.temperature.initial,
            "same_sentence": self.same_sentence,
            "frame_encoder": saved_frame_encoder(self),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**with_frame_encoder(config))


def clip_sentence_loss(clips, sentences, temperature, sharpness=10.0, same_sentence=None):
    r"""The divergence of a batch's clip-sentence softmax from softened pairs, in both directions.

    With cosines over temperature $A$ and target rows $P = \mathrm{softmax}(\gamma I)$,
    $$L_s = \tfrac12 \mathrm{KL}(P \| \mathrm{softmax}(A))
    + \tfrac12 \mathrm{KL}(P \| \mathrm{softmax}(A^T)),$$
    means over the rows: InfoNCE with a light label smoothing, less the constant entropy of $P$. The batch is
    that of all replicas.

    Args:
        clips, sentences: vectors `(batch, dim)` of this replica.
        temperature: a positive float or a `Temperature`.
        sharpness: $\gamma$; infinite: InfoNCE itself.
        same_sentence: bool `(batch, batch)` of the batch of all replicas: pairs that are neither positive nor
            negative, besides the diagonal; `None`: all others are negatives.

    Returns:
        A float32 scalar; divided by the number of replicas, as losses are.

    Example:

    >>> from applications.sign_translation.stage_one import clip_sentence_loss
    >>> vectors = np.eye(4, dtype="float32")
    >>> float(clip_sentence_loss(vectors, vectors, temperature=0.1)) < 1e-3
    True
    """
    clips, sentences = backend.gather(clips), backend.gather(sentences)
    batch = ops.shape(clips)[0]
    targets, candidates, entropy = ops.eye(batch, dtype="float32"), None, 0.0
    if same_sentence is not None:
        candidates = ops.logical_or(ops.logical_not(same_sentence), ops.cast(targets, "bool"))
    if not math.isinf(sharpness):
        logits = sharpness * targets
        if candidates is not None:
            logits = ops.where(candidates, logits, -1e9)
        targets = ops.softmax(logits)
        entropy = -ops.mean(ops.sum(targets * ops.log_softmax(logits), axis=1))
    loss = SoftTargetContrastive(temperature)
    both = [
        loss(targets, pair, candidate_mask=candidates, gathered=True)
        for pair in ((clips, sentences), (sentences, clips))
    ]
    return 0.5 * (both[0] + both[1]) - entropy / backend.replica_count()


def as_architecture(value) -> Architecture:
    """An `Architecture`, from one or from its values."""
    return value if isinstance(value, Architecture) else Architecture(**value)


def saved_frame_encoder(model):
    """The config of a model's frame encoder, if it was given."""
    if not model.own_frame_encoder:
        return None
    return keras.saving.serialize_keras_object(model.visual_encoder.frame_encoder)


def with_frame_encoder(config):
    """The config of a model with its frame encoder as an object again."""
    if config["frame_encoder"] is None:
        return config
    return {**config, "frame_encoder": keras.saving.deserialize_keras_object(config["frame_encoder"])}
