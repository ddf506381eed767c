"""What all detectors have in common: features, the normal images they are compared with, a threshold."""

import logging
import math

import keras
import numpy as np
from keras import ops

from applications.anomaly_detection.images import checked_images, checked_labels, warn_of_constant_images
from applications.anomaly_detection.patches import heat_maps
from applications.anomaly_detection.shift_probe import warn_of_invalid_shift
from applications.anomaly_detection.views import fixed_crops, make_shift
from contrast.losses import total_loss
from contrast.ops import l2_normalize
from contrast.retrieval import NearestNeighbors, Neighbors
from contrast.retrieval.matrices import as_array

logger = logging.getLogger("contrast")

_SAME = 1e-4  # two feature vectors of unit length closer than this are of the same image


class AnomalyDetector(keras.Model):
    """Base of the detectors that learn from normal images and score by the nearest of them.

    `fit(images)` or `fit(images, labels)` trains as Keras does and then remembers the features of the
    training images. The score of an image is the largest cosine of its features with theirs: from -1 to 1,
    higher for more normal. `predict` is Keras's: the features themselves, `(count, dim)` of unit length.

    A subclass defines `embed_views(images, training)`, which makes the views and embeds them, and
    `views_loss(embeddings, labels)`.

    Args:
        encoder: a layer or model from images to features `(batch, dim)`.
        shift: what makes outliers of normal images: `"rotation"`, `"cutperm"`, or a
            `contrast.augmentation.Shift`.
        flip: views and fixed crops may be turned from left to right; not for letters and digits.
        test_copies: features are averaged over the image and `test_copies - 1` crops of it; 1 is the image
            alone.

    Raises:
        ValueError: if an option is unknown or out of its range.
    """

    def __init__(self, encoder, shift="rotation", flip=True, test_copies=1, **kwargs):
        super().__init__(**kwargs)
        if test_copies < 1:
            raise ValueError(f"test_copies must be at least 1, got {test_copies}.")
        self.encoder, self.flip, self.test_copies = encoder, flip, test_copies
        self.shift = make_shift(shift)
        self._arrays: dict[str, np.ndarray] = {}
        self._neighbors = None

    def build(self, input_shape):
        if len(input_shape) != 4 or None in tuple(input_shape[1:]):
            raise ValueError(
                f"images must be (batch, height, width, channels) of known size, got shape {input_shape}."
            )
        self.image_shape = tuple(int(side) for side in input_shape[1:])
        shape = (None, *self.image_shape)
        self.shift.build(shape)
        if not self.encoder.built:
            self.encoder.build(shape)
        self.build_parts(shape)
        self.built = True

    def build_parts(self, input_shape):
        """Makes and builds what comes beside the encoder; it knows the shape of the images."""

    def call(self, images, training=None):
        if training:
            return self.embed_views(images, training=True)
        return self.encode(images)

    def encode(self, images):
        """Features of unit length, `(batch, dim)`, float32; averaged over `test_copies`."""
        copies = [
            l2_normalize(ops.cast(self.encoder(copy, training=False), "float32"))
            for copy in fixed_crops(images, self.test_copies, self.flip)
        ]
        return copies[0] if len(copies) == 1 else l2_normalize(sum(copies))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if sample_weight is not None:
            raise ValueError("sample_weight is not supported: an image stands beside all others in the loss.")
        embeddings = y_pred if training else self.embed_views(x, training=False)
        return total_loss(self, mean=self.views_loss(embeddings, y))

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, and remembers the features of the training images.

        Args:
            x: images `(count, height, width, channels)`, floats from 0 to 1; or a dataset of them, alone or
                with labels, as Keras takes it.
            y: int labels `(count,)`: 0 and up for the classes of normal images; below 0 for auxiliary images
                that are not normal (outlier exposure). `None`: all are normal and of one class.
            *args, **kwargs: as for `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError, TypeError: if there are fewer than 2 images, they differ in size, or values are out of
                their range.
        """
        is_dataset = not isinstance(x, np.ndarray | list | tuple) and not ops.is_tensor(x)
        if not is_dataset:
            x = as_array(x) if ops.is_tensor(x) else x
            x = checked_images(x, self.image_shape if self.built else None, least=2)
            y = checked_labels(y, len(x))
            if not self.built:
                self.build(x.shape)
            warn_of_constant_images(x)
            warn_of_invalid_shift(x if y is None else x[y >= 0], self.shift)
        history = super().fit(x, y, *args, **kwargs)
        if is_dataset:
            self._remember_dataset(x)
        else:
            kept = math.floor(len(x) * (1 - (kwargs.get("validation_split") or 0)))
            self.remember(x[:kept], None if y is None else y[:kept])
        return history

    def remember(self, images, labels=None, batch_size=256):
        """Compares images from now on with these normal ones, in place of those of the training.

        `explain` names them by their position here.

        Args:
            images: `(count, height, width, channels)`, at least 2, of the size of the training.
            labels: int `(count,)`: images with a label below 0 are left out; or `None`.
            batch_size: images encoded at once.

        Raises:
            ValueError, TypeError: as `fit`.
        """
        images = checked_images(images, self.image_shape if self.built else None, least=2)
        labels = checked_labels(labels, len(images))
        rows = np.arange(len(images)) if labels is None else np.flatnonzero(labels >= 0)
        self._set_arrays({"bank": self._encoded(images[rows], batch_size), "rows": rows})

    def _remember_dataset(self, dataset):
        is_indexed = isinstance(dataset, keras.utils.PyDataset)
        batches = map(dataset.__getitem__, range(len(dataset))) if is_indexed else dataset
        normal = []
        for batch in batches:
            images, labels, _ = keras.utils.unpack_x_y_sample_weight(batch)
            images = as_array(images)
            if labels is not None:
                images = images[as_array(labels).reshape(-1) >= 0]
            normal.append(images)
        self.remember(np.concatenate(normal))

    def _encoded(self, images, batch_size):
        """Features of checked images."""
        return self._predicted(images, batch_size)

    def _predicted(self, images, batch_size):
        """As `predict`, with the last batch filled up, so that one shape is compiled."""
        count = len(images)
        if count > batch_size:
            images = np.concatenate([images, images[: -count % batch_size]])
        outputs = self.predict(images, batch_size=batch_size, verbose=0)
        return keras.tree.map_structure(lambda output: output[:count], outputs)

    def features(self, images, batch_size=256) -> np.ndarray:
        """Features of unit length, float32 `(count, dim)`, of images checked as for `score`."""
        if not self.built:
            raise ValueError("The detector knows no images yet: call fit(images) first.")
        return self._encoded(checked_images(images, self.image_shape), batch_size)

    def score(self, images, batch_size: int = 256) -> np.ndarray:
        """How normal each image is: the largest cosine with a normal image.

        Args:
            images: `(count, height, width, channels)`, floats from 0 to 1, of the size of the training.
            batch_size: images encoded at once.

        Returns:
            float32 `(count,)` from -1 to 1, higher for more normal.

        Raises:
            ValueError: if nothing was learned yet, or images do not fit.
            TypeError: if images are not floats.
        """
        return self.explain(images, 1, batch_size).similarities[:, 0]

    def explain(self, images, count: int = 3, batch_size: int = 256) -> Neighbors:
        """The normal images that each image is most like.

        Args:
            images: as for `score`.
            count: how many normal images to name.
            batch_size: images encoded at once.

        Returns:
            `similarities` and `ids`, both `(images, count)`, the most similar first; an id is the position of
            the normal image in what was given to `fit` or `remember`.
        """
        self._check_ready()
        return self.neighbors.search(self.features(images, batch_size), count)

    @property
    def neighbors(self) -> NearestNeighbors:
        """The features of the normal images, to be searched."""
        self._check_ready()
        if self._neighbors is None:
            self._neighbors = NearestNeighbors(self._arrays["bank"], self._arrays["rows"])
        return self._neighbors

    @property
    def threshold(self) -> float | None:
        """Scores below it are of odd images; `None` before `calibrate`."""
        return float(self._arrays["threshold"]) if "threshold" in self._arrays else None

    @threshold.setter
    def threshold(self, value: float | None):
        self._arrays.pop("threshold", None)
        if value is not None:
            self._arrays["threshold"] = np.float64(value)

    def calibrate(self, normal_images, false_alarm_rate: float = 0.05) -> float:
        """Sets the threshold so that at most this share of these images would be called odd.

        Give normal images that the detector was not trained on: each training image finds itself.

        Args:
            normal_images: as for `score`; at least 1 / false_alarm_rate of them, better ten times as many.
            false_alarm_rate: from 0 to 1, both excluded.

        Returns:
            The threshold, which `is_normal` compares scores with and which is saved with the model.

        Raises:
            ValueError: if the rate is out of its range; see `score` for the rest.
        """
        if not 0 < false_alarm_rate < 1:
            raise ValueError(f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate}.")
        self._check_ready()
        normal_images = checked_images(normal_images, self.image_shape, least=1)
        self._warn_of_known(normal_images)
        scores = self.score(normal_images)
        if len(scores) * false_alarm_rate < 1:
            logger.warning(
                "%d images are few for a false alarm rate of %g: the threshold is the lowest score of them.",
                len(scores),
                false_alarm_rate,
            )
        self.threshold = float(np.quantile(scores, false_alarm_rate, method="lower"))
        return self.threshold

    def _warn_of_known(self, images):
        features, bank = self.features(images), self._arrays["bank"]
        rows = np.searchsorted(self._arrays["rows"], self.neighbors.search(features).ids[:, 0])
        known = int((np.linalg.norm(features - bank[rows], axis=1) < _SAME).sum())
        if known > 0.01 * len(images):
            logger.warning(
                "%d of the %d images are among those that the detector was trained on; each finds itself, "
                "and the threshold becomes too high. Calibrate on normal images that were held out.",
                known,
                len(images),
            )

    def is_normal(self, images, batch_size: int = 256) -> np.ndarray:
        """Whether each image's score reaches the threshold, bool `(count,)`.

        Raises:
            ValueError: before `calibrate`; see `score` for the rest.
        """
        if self.threshold is None:
            raise ValueError("There is no threshold yet: call calibrate(normal_images) first.")
        return self.score(images, batch_size) >= self.threshold

    def heat_map(self, images, stride: int = 8, batch_size: int = 256) -> np.ndarray:
        """Where images larger than those of the training are odd.

        Each patch of the training's size is scored by itself; a pixel's heat is 1 minus the mean score of the
        patches that cover it, those around it counting most.

        Args:
            images: `(count, height, width, channels)`, each side at least that of the training.
            stride: pixels from one patch to the next, at most the side of a patch; the smaller, the finer and
                the slower.
            batch_size: patches encoded at once.

        Returns:
            float32 `(count, height, width)`, from 0 (normal) to 2.
        """
        self._check_ready()
        images = checked_images(images)
        return heat_maps(
            lambda patches: self.score(patches, batch_size), images, self.image_shape[:2], stride
        )

    def _check_ready(self):
        if "bank" not in self._arrays:
            raise ValueError("The detector knows no normal images yet: call fit(images) first.")

    def _set_arrays(self, arrays):
        """Takes what was learned of the normal images; a threshold of before is void."""
        self._arrays = dict(arrays)
        self._neighbors = None

    def save_own_variables(self, store):
        for name, array in self._arrays.items():
            store[name] = array

    def load_own_variables(self, store):
        self._set_arrays({name: np.asarray(store[name]) for name in store.keys()})  # noqa: SIM118

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "shift": keras.saving.serialize_keras_object(self.shift),
            "flip": self.flip,
            "test_copies": self.test_copies,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for key in ("encoder", "shift"):
            config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)
