import keras

from contrast.layers import ProjectionHead


@keras.saving.register_keras_serializable(package="anomaly_detection")
class StageHead(keras.Layer):
    """Brings the map of an encoder's stage to the size of the last stage's, and projects its mean.

    Args:
        filters: channels of the 3x3 convolutions of stride 2, one for each stage that follows, each with
            batch normalisation and ReLU; empty for the last stage.
        dims: widths of the dense layers of the projection.

    Call: a map `(batch, height, width, channels)`, or features `(batch, channels)` of an encoder without
        stages, to `(batch, dims[-1])`.
    """

    def __init__(self, filters=(), dims=(512, 128), **kwargs):
        super().__init__(**kwargs)
        self.filters, self.dims = tuple(filters), tuple(dims)
        self.down = keras.Sequential(
            [layer for count in self.filters for layer in self._block(count)], name="down"
        )
        self.pool = keras.layers.GlobalAveragePooling2D(dtype=self.dtype_policy)
        self.project = ProjectionHead(self.dims, dtype=self.dtype_policy)

    def _block(self, filters):
        return (
            keras.layers.Conv2D(
                filters,
                3,
                strides=2,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                dtype=self.dtype_policy,
            ),
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy),
            keras.layers.ReLU(dtype=self.dtype_policy),
        )

    def build(self, input_shape):
        if self.filters:
            self.down.build(input_shape)
            input_shape = self.down.compute_output_shape(input_shape)
        self.project.build((input_shape[0], input_shape[-1]))

    def call(self, inputs, training=None):
        if self.filters:
            inputs = self.down(inputs, training=training)
        if len(inputs.shape) == 4:
            inputs = self.pool(inputs)
        return self.project(inputs)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dims[-1])

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "dims": self.dims}
