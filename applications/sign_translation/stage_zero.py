"""Stage 0: the frame encoder learns to see by drawing single frames again, without any label."""

import keras
import numpy as np
from keras import ops

from contrast.data.batches import ArrayBatches
from contrast.losses import total_loss


@keras.saving.register_keras_serializable(package="sign_translation")
class FrameAutoencoder(keras.Model):
    """Encodes single frames and draws them again; a start for frame encoders without pretrained weights.

    The paper starts from an encoder that was pretrained on photographs. Where there is none, hands and head
    must be found first. Squared errors are weighted by the distance from the mean frame plus 0.1: otherwise
    the background, which is most of a frame, would be all that is learned.

    Args:
        frame_encoder: a model from frames `(frames, height, width, channels)` to features.
        frame_shape: `(height, width, channels)`.
        mean_frame: values in [0, 1] of this shape; `None`: to be loaded.

    Call: frames, floats in [0, 1] or bytes, to frames in [0, 1] of the same shape.

    Raises:
        ValueError: if `frame_shape` has another rank.
    """

    def __init__(self, frame_encoder, frame_shape, mean_frame=None, **kwargs):
        super().__init__(**kwargs)
        frame_shape = tuple(frame_shape)
        if len(frame_shape) != 3:
            raise ValueError(f"frame_shape must be (height, width, channels), got {frame_shape}.")
        self.frame_encoder, self.frame_shape = frame_encoder, frame_shape
        self.small_map = (-(-frame_shape[0] // 8), -(-frame_shape[1] // 8), 48)
        self.expand = keras.layers.Dense(int(np.prod(self.small_map)), activation="relu", name="expand")
        self.enlarge = keras.layers.Conv2DTranspose(
            32, 4, strides=2, padding="same", activation="relu", name="enlarge"
        )
        self.draw = keras.layers.Conv2DTranspose(
            frame_shape[-1], 4, strides=4, padding="same", activation="sigmoid", name="draw"
        )
        initial = "zeros" if mean_frame is None else keras.initializers.Constant(np.asarray(mean_frame))
        self.mean_frame = self.add_weight(
            shape=frame_shape, initializer=initial, trainable=False, name="mean_frame"
        )

    def build(self, input_shape):
        if not self.frame_encoder.built:
            self.frame_encoder.build(input_shape)
        width = self.frame_encoder.compute_output_shape(input_shape)[-1]
        self.expand.build((None, width))
        self.enlarge.build((None, *self.small_map))
        self.draw.build((None, 2 * self.small_map[0], 2 * self.small_map[1], 32))
        self.built = True

    def call(self, inputs, training=None):
        x = self.expand(self.frame_encoder(_unit_range(inputs), training=training))
        x = self.draw(self.enlarge(ops.reshape(x, (-1, *self.small_map))))
        return x[:, : self.frame_shape[0], : self.frame_shape[1]]

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        frames = _unit_range(x)
        weights = ops.abs(frames - ops.copy(self.mean_frame)) + 0.1
        return total_loss(self, mean=ops.mean(weights * ops.square(y_pred - frames)))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.frame_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder),
            "frame_shape": self.frame_shape,
        }

    @classmethod
    def from_config(cls, config):
        return cls(
            **{**config, "frame_encoder": keras.saving.deserialize_keras_object(config["frame_encoder"])}
        )


class FrameBatches(ArrayBatches):
    """Batches of single frames of clips, full ones only.

    Args:
        clips: list of arrays `(frames, height, width, channels)`, bytes or floats in [0, 1].
        batch_size, shuffle, seed: see `contrast.data.batches.ArrayBatches`.
        most: frames that are kept in memory; of more, some are taken at equal distances.

    Items: frames `(batch, height, width, channels)`.

    Raises:
        ValueError: if there is no clip, or clips have frames of several sizes.
    """

    def __init__(self, clips, batch_size=128, shuffle=True, seed=0, most=60_000):
        sizes = sorted({np.shape(clip)[1:] for clip in clips})
        if len(sizes) != 1:
            raise ValueError(f"clips must be at least one, with frames of one size, got sizes {sizes}.")
        step = -(-sum(map(len, clips)) // most)
        frames = np.concatenate([np.asarray(clip)[::step] for clip in clips])
        super().__init__({"frames": frames}, min(batch_size, len(frames)), shuffle, seed, drop_remainder=True)

    @property
    def mean_frame(self) -> np.ndarray:
        """The mean of all frames, in [0, 1]."""
        frames = self.arrays["frames"]
        mean = frames.mean(axis=0, dtype="float64")
        return (mean / 255 if frames.dtype == np.uint8 else mean).astype("float32")

    def __getitem__(self, index):
        return self.arrays["frames"][self.rows(index)]


def _unit_range(frames):
    if keras.backend.standardize_dtype(frames.dtype) == "uint8":
        return ops.cast(frames, "float32") / 255.0
    return ops.cast(frames, "float32")
