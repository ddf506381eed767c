"""A model under the losses of the applications that compare samples with operations of their own."""

import keras
from keras import ops

from applications.anomaly_detection.unilateral import unilateral_ids, unilateral_loss
from applications.face_naming.secla_b import SECLAB
from applications.report_generation.stage_one import view_groups
from applications.sign_translation.stage_one import clip_sentence_loss
from contrast import losses
from contrast.distribution import gather


class ApplicationLosses(keras.Model):
    """An encoder of pairs of views, whose embeddings stand for faces, names, clips, sentences and images."""

    def __init__(self, encoder, dim):
        super().__init__()
        self.encoder, self.dim = encoder, dim
        self.project = keras.layers.Dense(4)
        self.naming = SECLAB(hidden_dim=6, embedding_dim=4, kernel_initializer="glorot_uniform")
        self.parts = {name: keras.metrics.Mean(name) for name in ("outliers", "signs", "studies", "names")}

    def build(self, shape):
        self.encoder.build((None, self.dim))
        self.project.build((None, 5))
        self.naming.build({"faces": (None, 2, 4), "names": (None, 3, 4)})
        self.built = True

    def call(self, x, training=None):
        flat = self.project(self.encoder(ops.reshape(x, (-1, self.dim)), training=training))
        return ops.reshape(flat, (-1, 2, 4))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        first, second = y_pred[:, 0], y_pred[:, 1]
        outliers = ops.concatenate([first, second, 0.5 - second, 0.2 - first])
        ids = unilateral_ids(ops.shape(first)[0], 2, labels=y - 1)
        unilateral = sum(
            unilateral_loss(outliers, ids, **options)
            for options in ({}, {"soft": True}, {"soft": True, "pairwise": True})
        )
        said = gather(y)
        signs = clip_sentence_loss(first, second, 0.5, 10.0)
        signs = signs + clip_sentence_loss(first, second, 0.5, 2.0, ops.equal(said[:, None], said[None]))
        groups = ops.stack([y, ops.where(y == 0, -1, y)], axis=1)
        studies = losses.SupervisedContrastive(no_positive="drop")(*view_groups(groups, y_pred))
        names = self._names(y_pred, y)
        for name, loss in (("signs", signs), ("studies", studies), ("names", names)):
            self.parts[name].update_state(losses.reported_loss(loss))
        self.parts["outliers"].update_state(unilateral)
        return losses.total_loss(self, mean=unilateral, loss=signs + studies + names)

    def _names(self, faces, y):
        """SECLA-B on photos of two faces and two names; of some names the bank holds a face."""
        names = ops.concatenate([ops.flip(faces, axis=1) + 0.1, faces[:, :1] * 0.3], axis=1)
        known = ops.stack([y > 0, y > 1, y < 0], axis=1)
        inputs = {
            "faces": faces,
            "face_mask": ops.ones_like(faces[:, :, 0], dtype="bool"),
            "names": names,
            "name_mask": ops.ones_like(names[:, :, 0], dtype="bool"),
            "bank_faces": ops.concatenate([faces - 0.2, faces[:, :1]], axis=1),
            "bank_mask": known,
        }
        return self.naming.compute_loss(inputs, y_pred=self.naming(inputs))
