from typing import Any, Self

import keras
from keras import ops

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class FoldViews(keras.Layer):
    """Applies one layer or model to every view at once, by folding the view axis into the batch.

    Batch normalisation inside sees all views together, as SimCLR's does. Unlike
    `keras.layers.TimeDistributed` the layer is called once.

    Args:
        layer: a layer or model from `(batch, ...)` to `(batch, ...)`.

    Call: `(batch, views, ...)` returns `(batch, views, ...)`.

    Example:

    >>> encoder = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(16)])
    >>> tuple(contrast.layers.FoldViews(encoder)(np.zeros((4, 2, 8, 8, 1), "float32")).shape)
    (4, 2, 16)
    """

    def __init__(self, layer: keras.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Shape) -> None:
        if not self.layer.built:
            self.layer.build((None, *input_shape[2:]))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        batch, views = ops.shape(inputs)[:2]
        folded = ops.reshape(inputs, (-1, *inputs.shape[2:]))
        outputs = self.layer(folded, training=training)
        return ops.reshape(outputs, (batch, views, *outputs.shape[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], *self.layer.compute_output_shape((None, *input_shape[2:]))[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})
