"""Face accuracy after each epoch."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from applications.face_naming.evaluation import score
from applications.face_naming.formats import CaptionedPhoto, PhotoBatches


class NamingAccuracy(keras.callbacks.Callback):
    """Adds the model's face accuracy on some photos to the logs of each epoch.

    On the photos of the training themselves this is what the method is for (the names of an archive are
    read off after training on it), not a held-out figure; give it other photos for that.

    Args:
        photos: photos with truth.
        name_features: vectors of the names and of `NONAME`, for a model without a name encoder.
        name: the metric's name in the logs.
        batch_size: photos scored at once.
    """

    def __init__(
        self,
        photos: Sequence[CaptionedPhoto],
        name_features: Mapping[str, np.ndarray] | None = None,
        name: str = "face_accuracy",
        batch_size: int = 250,
    ):
        super().__init__()
        self.batches = PhotoBatches(photos, name_features, batch_size=batch_size, shuffle=False)
        self.name = name

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            named = self.model.name_faces(self.batches)
            logs[self.name] = score(self.batches.photos, named)["face_accuracy"]
