from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from contrast.ops import l2_normalize
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class ProjectionHead(keras.Layer):
    """Dense layers between an encoder's features and the embeddings that a loss compares.

    Each layer but the last is followed by batch normalisation, if asked for, and the activation. Inputs of
    more than two axes are projected along the last one, and normalised over all others.

    Args:
        dims: width of each dense layer; the last one is the embedding's.
        activation: after every layer but the last.
        batch_norm: normalise before the activation.
        use_bias: one bool for all dense layers, or one for each.
        normalize: scale the output to unit length.
        kernel_initializer: of the dense layers.

    Call: `(batch, ..., features)` returns `(batch, ..., dims[-1])`. A mask on the inputs keeps its elements
    out of the statistics of batch normalisation, and is passed on.

    Raises:
        ValueError: if `dims` is empty or holds a number below 1, or `use_bias` has another length.

    Example:

    >>> head = contrast.layers.ProjectionHead((64, 32), batch_norm=True)
    >>> tuple(head(np.zeros((8, 128), "float32")).shape)
    (8, 32)

    Reference: [Chen et al., 2020](https://arxiv.org/abs/2002.05709), section 4.2.
    """

    def __init__(
        self,
        dims: Sequence[int] = (512, 128),
        activation: str | Callable[[Any], Any] | None = "relu",
        batch_norm: bool = False,
        use_bias: bool | Sequence[bool] = True,
        normalize: bool = False,
        kernel_initializer: str | dict | keras.initializers.Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        dims = tuple(int(dim) for dim in dims)
        biases = (use_bias,) * len(dims) if isinstance(use_bias, bool) else tuple(use_bias)
        if not dims or min(dims) < 1:
            raise ValueError(f"dims must name at least one width, each at least 1, got {dims}.")
        if len(biases) != len(dims):
            raise ValueError(f"use_bias must be a bool or {len(dims)} of them, got {use_bias!r}.")
        self.supports_masking = True
        self.dims, self.activation = dims, keras.activations.get(activation)
        self.batch_norm, self.use_bias, self.normalize = batch_norm, use_bias, normalize
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.dense = [
            keras.layers.Dense(
                dim,
                use_bias=bias,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=self.dtype_policy,
            )
            for dim, bias in zip(dims, biases, strict=True)
        ]
        self.norms = [
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy)
            for _ in (dims[:-1] if batch_norm else ())
        ]

    def build(self, input_shape: Shape) -> None:
        for number, dense in enumerate(self.dense):
            dense.build(input_shape)
            input_shape = dense.compute_output_shape(input_shape)
            if number < len(self.norms):
                self.norms[number].build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        x = inputs
        for number, dense in enumerate(self.dense):
            x = dense(x)
            if number == len(self.dense) - 1:
                break
            if self.norms:
                x = self.norms[number](x, training=training, mask=mask)
            x = self.activation(x)
        return ops.cast(l2_normalize(x), x.dtype) if self.normalize else x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.dims[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dims": self.dims,
            "activation": keras.activations.serialize(self.activation),
            "batch_norm": self.batch_norm,
            "use_bias": self.use_bias,
            "normalize": self.normalize,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
