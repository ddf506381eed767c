"""Stage 1: views of a study find each other, and images find their facts."""

import keras
from keras import ops

from applications.report_generation.architecture import as_architecture
from applications.report_generation.image_side import ImageSide
from applications.report_generation.text import PAD_ID
from applications.report_generation.text_side import TextSide
from contrast import backend
from contrast.losses import (
    InfoNCE,
    SupervisedContrastive,
    reported_loss,
    token_alignment_loss,
    total_loss,
)


@keras.saving.register_keras_serializable(package="report_generation")
class MLRGPretraining(keras.Model):
    r"""Multi-view longitudinal contrastive learning, the first stage of MLRG.

    $L_{MPC}$ draws the images of one visit together: all others of it are positives of an image, and images
    without any leave rows and columns. $L_G$ lets the fused image of a study, what its companions and the
    visit before said included, choose among the facts of the batch, and the facts among the images; studies
    that stand twice in the batch share their target. The loss is their sum.

    Args:
        architecture: an `Architecture`, or its values as a dict.
        temperature: of both losses; the paper's 0.5 is soft for batches of some tens.
        view_contrast: whether $L_{MPC}$ is there.
        token_weight: factor of the token-wise alignment of the official code, which leaves it out.
        token_temperature: of that loss.

    Inputs: the dict that `StudyBatches` makes; `findings` and the prompt are not read. A call returns a dict
        of `views` `(batch, images, dim)`, projected first tokens of all images; `image` `(batch, dim)`, the
        fused one of the anchor; `text` `(batch, dim)`; and, if the token-wise loss is there, `image_tokens`
        and `text_tokens`.

    Raises:
        ValueError: if a temperature is not positive or the weight negative.

    Reference: [Liu et al., 2025](https://arxiv.org/abs/2502.20056), section 3.2.
    """

    def __init__(
        self,
        architecture,
        temperature=0.5,
        view_contrast=True,
        token_weight=0.0,
        token_temperature=0.07,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if token_weight < 0:
            raise ValueError(f"token_weight must be at least 0, got {token_weight}.")
        self.architecture = as_architecture(architecture)
        self.temperature, self.view_contrast = temperature, view_contrast
        self.token_weight, self.token_temperature = token_weight, token_temperature
        self.image_side = ImageSide(self.architecture, name="image_side")
        self.text_side = TextSide(self.architecture, name="text_side")
        self.view_loss = SupervisedContrastive(temperature, no_positive="drop") if view_contrast else None
        self.alignment = InfoNCE(temperature, symmetric=True, same_id="shared")
        self.trackers = {
            name: keras.metrics.Mean(name)
            for name, used in (
                ("view_loss", view_contrast),
                ("alignment_loss", True),
                ("token_loss", token_weight > 0),
            )
            if used
        }

    def build(self, input_shape):
        self.image_side.build(None)
        self.text_side.build((None, self.architecture.max_facts))
        self.built = True

    def call(self, inputs, training=None):
        projected, fused = self.image_side(inputs, training=training)
        facts = ops.cast(inputs["facts"], "int32")
        texts = self.text_side(facts, real=ops.not_equal(facts, PAD_ID), training=training)
        outputs = {"views": projected[:, :, 0], "image": fused[:, 0], "text": texts[:, 0]}
        if self.token_weight:
            outputs |= {"image_tokens": fused, "text_tokens": texts}
        return outputs

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        pair = (y_pred["image"], y_pred["text"])
        losses = {"alignment_loss": self.alignment(ops.cast(x["ids"], "int32"), pair)}
        if self.view_loss is not None:
            losses["view_loss"] = self.view_loss(*view_groups(x["groups"], y_pred["views"]))
        if self.token_weight:
            aligned = token_alignment_loss(
                y_pred["text_tokens"],
                y_pred["image_tokens"],
                ops.not_equal(x["facts"], PAD_ID),
                temperature=self.token_temperature,
            )
            losses["token_loss"] = self.token_weight * aligned / backend.replica_count()
        for name, loss in losses.items():
            self.trackers[name].update_state(reported_loss(loss))
        return total_loss(self, loss=sum(losses.values()))

    def get_config(self):
        return {
            **super().get_config(),
            "architecture": self.architecture.to_dict(),
            "temperature": self.temperature,
            "view_contrast": self.view_contrast,
            "token_weight": self.token_weight,
            "token_temperature": self.token_temperature,
        }


def view_groups(groups, views):
    """Ids and embeddings of all images for the contrast between views.

    Args:
        groups: integers `(batch, images)`: the study of each image, -1 for images that take no part.
        views: embeddings `(batch, images, dim)`.

    Returns:
        Ids `(batch * images,)` and embeddings `(batch * images, 1, dim)`; an image that takes no part is
        alone with its id, on all replicas, so that `no_positive="drop"` leaves it out.
    """
    groups = ops.reshape(ops.cast(groups, "int32"), (-1,))
    alone = -1 - ops.arange(ops.shape(groups)[0], dtype="int32") - backend.rows_before(groups)
    return ops.where(groups < 0, alone, groups), ops.reshape(views, (-1, 1, views.shape[-1]))
