"""What UniCon-HA is compared with: other losses on the same encoder, and two methods without training."""

from dataclasses import asdict

import keras
import numpy as np
from keras import ops

from applications.anomaly_detection.detector import AnomalyDetector
from applications.anomaly_detection.images import checked_images, checked_labels
from applications.anomaly_detection.views import ShiftedViews, Strength, by_instance
from contrast.encoders import ConvNet
from contrast.layers import ProjectionHead
from contrast.losses import NTXent
from contrast.ops import l2_normalize
from contrast.retrieval import NearestNeighborScore


class ShiftDetector(AnomalyDetector):
    """Base of the baselines: one encoder, views of one strength, and heads on the encoder's features.

    Args:
        encoder: a layer or model from images to features; `None`: the convnet of `UniConHA.small`.
        strength: of the views.
        head: widths of the projection.
        temperature: of the contrastive loss.
        shift, flip, test_copies: see `AnomalyDetector`.
    """

    contrasts, classifies = True, True

    def __init__(
        self,
        encoder=None,
        strength=None,
        head=(64, 32),
        temperature=0.5,
        shift="rotation",
        flip=True,
        test_copies=1,
        **kwargs,
    ):
        super().__init__(encoder or ConvNet((16, 32, 64)), shift, flip, test_copies, **kwargs)
        self.strength, self.temperature = strength or Strength.small(), temperature
        self.head = tuple(head)
        self.views = ShiftedViews(self.shift, self.strength, self.flip)
        self.project = ProjectionHead(self.head, dtype=self.dtype_policy) if self.contrasts else None
        self.classify = (
            keras.layers.Dense(self.shift.shifts, dtype=self.dtype_policy) if self.classifies else None
        )

    def build_parts(self, input_shape):
        self.views.build(input_shape)
        features = self.encoder.compute_output_shape(input_shape)
        for part in (self.project, self.classify):
            if part is not None:
                part.build(features)

    def embed_views(self, images, training):
        return self.outputs(self.encoder(self.views(images), training=training))

    def outputs(self, features):
        """Projections and logits of the shift, as far as this method has them."""
        outputs = {}
        if self.contrasts:
            outputs["projection"] = self.project(features)
        if self.classifies:
            outputs["shift_logit"] = self.classify(features)
        return outputs

    def views_loss(self, embeddings, labels):
        shifts, losses = self.shift.shifts, []
        if self.contrasts:
            loss = NTXent(self.temperature, reduction="none")
            losses.append(ops.mean(loss(None, by_instance(embeddings["projection"], shifts))))
        if self.classifies:
            logits = ops.cast(embeddings["shift_logit"], "float32")
            truth = self.shift.labels(ops.shape(logits)[0] // shifts)
            losses.append(ops.mean(ops.sparse_categorical_crossentropy(truth, logits, from_logits=True)))
        return sum(losses)

    def get_config(self):
        return {
            **super().get_config(),
            "strength": asdict(self.strength),
            "head": self.head,
            "temperature": self.temperature,
        }

    @classmethod
    def from_config(cls, config):
        return super().from_config({**config, "strength": Strength(**config["strength"])})


@keras.saving.register_keras_serializable(package="anomaly_detection")
class NTXentUnion(ShiftDetector):
    """NT-Xent on the union of images and shifted images, as DROC trains: every one is a class of its own.

    What `UniConHA` differs from by its loss alone. Scored as `UniConHA` is. Arguments: see `ShiftDetector`.

    Reference: [Sohn et al., 2021](https://arxiv.org/abs/2011.02578)
    """

    classifies = False


class ShiftScorer(ShiftDetector):
    """Base of the baselines that look at test images under each transform of the shift.

    `predict` gives a dict: `features` of unit length, and what the heads make of them.
    """

    def encode(self, images):
        features = self.encoder(images, training=False)
        outputs = self.outputs(features)
        return {
            "features": l2_normalize(ops.cast(features, "float32")),
            **{name: ops.cast(value, "float32") for name, value in outputs.items()},
        }

    def _encoded(self, images, batch_size):
        return self._predicted(images, batch_size)["features"]

    def shifted_outputs(self, images, batch_size=256):
        """What `predict` gives for each image under each transform, as dict of arrays `(K, count, ...)`."""
        images = checked_images(images, self.image_shape if self.built else None)
        shifted = ops.convert_to_numpy(self.shift(images))
        outputs = self._predicted(shifted, batch_size)
        return {
            name: value.reshape(self.shift.shifts, len(images), *value.shape[1:])
            for name, value in outputs.items()
        }


@keras.saving.register_keras_serializable(package="anomaly_detection")
class CSI(ShiftScorer):
    """NT-Xent on the union, and a classifier of the shift; both have a say in the score.

    Arguments: see `ShiftDetector`; the score looks at the image under each transform, not at `test_copies`.

    Reference: [Tack et al., 2020](https://arxiv.org/abs/2007.08176)
    """

    def remember(self, images, labels=None, batch_size=256):
        super().remember(images, labels, batch_size)
        images = checked_images(images)
        labels = checked_labels(labels, len(images))
        outputs = self.shifted_outputs(images if labels is None else images[labels >= 0], batch_size)
        projection = outputs["projection"]
        length = np.linalg.norm(projection, axis=-1, keepdims=True)
        own_logit = np.stack([logit[:, k] for k, logit in enumerate(outputs["shift_logit"])])
        self._arrays["axis"] = projection / np.maximum(length, 1e-12)
        self._arrays["weight_sim"] = 1 / np.maximum(length.mean(axis=(1, 2)), 1e-12)
        self._arrays["weight_shift"] = 1 / own_logit.mean(axis=1)

    def score(self, images, batch_size: int = 256) -> np.ndarray:
        """CSI's score of each image, `(count,)`: higher for more normal, without bounds; see `csi_score`."""
        self._check_ready()
        outputs = self.shifted_outputs(images, batch_size)
        return csi_score(
            outputs["projection"],
            outputs["shift_logit"],
            *(self._arrays[name] for name in ("axis", "weight_sim", "weight_shift")),
        )


@keras.saving.register_keras_serializable(package="anomaly_detection")
class RotationPrediction(ShiftScorer):
    """A classifier of the shift alone: normal is what it recognises the transforms of.

    The score is the mean log-probability of the right transform over all transforms of an image. Arguments:
    see `ShiftDetector`.

    References: [Golan and El-Yaniv, 2018](https://arxiv.org/abs/1805.10917),
        [Hendrycks et al., 2019](https://arxiv.org/abs/1906.12340)
    """

    contrasts = False

    def score(self, images, batch_size: int = 256) -> np.ndarray:
        """The mean log-probability of the right transform, `(count,)`, at most 0."""
        self._check_ready()
        logits = self.shifted_outputs(images, batch_size)["shift_logit"]
        log_probability = logits - ops.convert_to_numpy(ops.logsumexp(logits, axis=-1, keepdims=True))
        return np.mean([row[:, k] for k, row in enumerate(log_probability)], axis=0)


def csi_score(projection, shift_logit, axis, weight_sim, weight_shift) -> np.ndarray:
    r"""CSI's score from what its heads give, for K transforms.

    $$s = \frac{1}{K} \sum_k \lambda_k \max_m g_k \cdot a_{k,m} + \mu_k \, p_k$$

    Args:
        projection: $g_k$, `(K, count, dim)`, not normalised: its length is evidence. Of several augmented
            copies the mean.
        shift_logit: `(K, count, K)`; $p_k$ is the logit of transform k for the image under it.
        axis: $a_{k,m}$, `(K, normal images, dim)`, of unit length.
        weight_sim: $\lambda_k$, `(K,)`: 1 / mean length of the normal images' projections.
        weight_shift: $\mu_k$, `(K,)`: 1 / mean logit of the normal images.

    Returns:
        Scores `(count,)`.
    """
    similarity = np.stack([(g @ a.T).max(axis=1) for g, a in zip(projection, axis, strict=True)])
    own_logit = np.stack([logit[:, k] for k, logit in enumerate(shift_logit)])
    return np.mean(similarity * weight_sim[:, None] + own_logit * weight_shift[:, None], axis=0)


def raw_pixel_score(normal_images, images, subtract_mean: bool = False) -> np.ndarray:
    """The largest cosine of an image's pixels with those of a normal image, `(count,)`.

    Args:
        normal_images, images: `(count, height, width, channels)`, floats from 0 to 1.
        subtract_mean: subtract from each image its mean first, so that brightness does not matter.
    """
    rows = []
    for some in (normal_images, images):
        flat = checked_images(some).reshape(len(some), -1)
        rows.append(flat - flat.mean(axis=1, keepdims=True) if subtract_mean else flat)
    return NearestNeighborScore(rows[0])(rows[1])


def one_class_svm_score(normal_features, features, nu: float = 0.1) -> np.ndarray:
    """The decision function of scikit-learn's OneClassSVM, `(count,)`: higher for more normal.

    Args:
        normal_features: `(normal, dim)` features, or images, whose pixels are then the features.
        features: likewise, of what is scored.
        nu: share of the normal rows that may fall outside.
    """
    from sklearn.svm import OneClassSVM

    normal_features, features = (np.reshape(some, (len(some), -1)) for some in (normal_features, features))
    return OneClassSVM(nu=nu, gamma="scale").fit(normal_features).decision_function(features)
