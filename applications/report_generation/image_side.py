"""From the frozen tokens of a study's images to its fused image tokens."""

import keras
from keras import ops

from applications.report_generation.study import VIEW_POSITIONS
from contrast.layers import CrossAttentionFusion, ProjectionHead

TIMES = 3  # now, the visit before, and one before that, which no study here holds


class ImageSide(keras.Layer):
    """Places, projects and fuses the tokens of all images of a study.

    View position, layer normalisation, a projection head token by token; then time, layer normalisation, and
    the attention of the anchor's tokens to those of its companions: further views and the prior image. An
    anchor without companions leaves that attention out.

    Args:
        architecture: an `Architecture`.

    Call: a dict of `images` `(batch, images, tokens, width)`, the anchor first; `positions`
        `(batch, images)`, numbers of `VIEW_POSITIONS`; `prior` and `present` `(batch, images)`, which images
        are of the visit before and which are there at all. Returns the projected tokens of all images,
        `(batch, images, tokens, dim)`, and the fused ones of the anchor, `(batch, tokens, dim)`.

    Reference: Liu et al., "Enhanced Contrastive Learning with Multi-view Longitudinal Data for Chest X-ray
        Report Generation", CVPR 2025; details as in the official code.
    """

    def __init__(self, architecture, **kwargs):
        super().__init__(**kwargs)
        self.architecture = architecture
        self.view_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="view_norm")
        self.projection = ProjectionHead(
            (architecture.projection_dim, architecture.dim), batch_norm=True, name="projection"
        )
        self.time_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="time_norm")
        self.fusion = CrossAttentionFusion(
            architecture.fusion_depth,
            architecture.fusion_heads,
            architecture.fusion_head_dim,
            name="fusion",
        )

    def build(self, input_shape):
        sizes = self.architecture
        shape = (None, None, None, sizes.image_dim)
        anchor, companions = (None, None, sizes.dim), (None, None, None, sizes.dim)
        self.views = self.add_weight(
            shape=(len(VIEW_POSITIONS), sizes.image_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="views",
        )
        self.times = self.add_weight(
            shape=(TIMES, sizes.dim), initializer=keras.initializers.RandomUniform(0, 1), name="times"
        )
        self.view_norm.build(shape)
        self.projection.build(shape)
        self.time_norm.build(companions)
        self.fusion.build(anchor, companions)
        self.built = True

    def call(self, inputs, training=None):
        projected, timed, present = self._timed(inputs, training)
        return projected, self.fusion(timed[:, 0], timed[:, 1:], present[:, 1:], training=training)

    def attention(self, inputs):
        """How much each token of the anchor looks at each token of each companion."""
        _, timed, present = self._timed(inputs, False)
        return self.fusion.attention(timed[:, 0], timed[:, 1:], present[:, 1:])

    def _timed(self, inputs, training):
        present = ops.cast(inputs["present"], "bool")
        images = ops.cast(ops.convert_to_tensor(inputs["images"]), self.compute_dtype)
        images = ops.where(present[:, :, None, None], images, ops.zeros_like(images))
        views = ops.take(self.views, ops.cast(inputs["positions"], "int32"), axis=0)
        x = self.view_norm(images + ops.cast(views, images.dtype)[:, :, None])
        real = ops.logical_and(present[:, :, None], ops.ones_like(x[..., 0], dtype="bool"))
        projected = self.projection(x, training=training, mask=real)
        times = ops.take(self.times, ops.cast(inputs["prior"], "int32"), axis=0)
        return projected, self.time_norm(projected + ops.cast(times, projected.dtype)[:, :, None]), present
