import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class TemporalConv(keras.Layer):
    r"""Convolutions and poolings along time that turn many frames into few tokens; the mask survives.

    `K5` is a convolution over 5 steps without padding, then batch normalisation and ReLU; `P2` is the maximum
    of 2 steps, a last odd step left out. A clip of $T$ steps has
    $$N = \lfloor (\lfloor (T - 4) / 2 \rfloor - 4) / 2 \rfloor$$
    tokens with the default `spec`. Padding stands behind. A real token sees real steps only, as it is counted
    by this formula and not by pooling the mask.

    Args:
        filters: width of the tokens.
        spec: the blocks in order, `K` or `P` and a number.
        masked_normalization: take the statistics of training over real steps only. Otherwise padding counts,
            as in the official code of the reference, and a clip's tokens depend on how far it was padded.
        momentum: of the moving statistics.
        epsilon: added to the variance.

    Call: `(batch, steps, channels)`, and `mask` `(batch, steps)`, True at real steps, or `None`, to
        `(batch, tokens, filters)`. `compute_mask(x, mask)` gives the mask of the tokens, `(batch, tokens)`;
        `token_count(steps)` the number of tokens.

    Raises:
        ValueError: if `spec` cannot be read, `filters` is below 1, or there are fewer steps than one token
            needs.

    Example:

    >>> layer = contrast.layers.TemporalConv(filters=8)
    >>> x, mask = np.zeros((2, 24, 6), "float32"), np.arange(24) < np.array([[24], [21]])
    >>> tuple(layer(x, mask=mask).shape)
    (2, 3, 8)
    >>> keras.ops.convert_to_numpy(layer.compute_mask(x, mask)).sum(axis=1).tolist()
    [3, 2]

    Reference: [Zhou et al., 2023](https://arxiv.org/abs/2307.14768), the visual encoder; the block is that of
        [Min et al., 2021](https://arxiv.org/abs/2104.02330).
    """

    def __init__(
        self,
        filters: int,
        spec: Sequence[str] = ("K5", "P2", "K5", "P2"),
        masked_normalization: bool = False,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if filters < 1:
            raise ValueError(f"filters must be at least 1, got {filters}.")
        self.spec = tuple(spec)
        if not self.spec or not all(re.fullmatch(r"[KP][1-9]\d*", str(block)) for block in self.spec):
            raise ValueError(f"spec must name blocks such as 'K5' and 'P2', got {spec!r}.")
        self.supports_masking = True
        self.filters, self.masked_normalization = filters, masked_normalization
        self.momentum, self.epsilon = momentum, epsilon
        self._blocks = [(block[0], int(block[1:])) for block in self.spec]
        self.convolutions = [
            keras.layers.Conv1D(filters, size, name=f"convolution_{number}", dtype=self.dtype_policy)
            for number, size in enumerate(size for kind, size in self._blocks if kind == "K")
        ]
        self.norms = [
            keras.layers.BatchNormalization(
                momentum=momentum, epsilon=epsilon, name=f"norm_{number}", dtype=self.dtype_policy
            )
            for number in range(len(self.convolutions))
        ]

    def token_count(self, steps: int | Tensor) -> int | Tensor:
        """How many tokens that many steps give, at least 0; an int, or integers elementwise."""
        for kind, size in self._blocks:
            steps = steps - size + 1 if kind == "K" else steps // size
        return max(steps, 0) if isinstance(steps, int) else ops.maximum(steps, 0)

    @property
    def shortest(self) -> int:
        """The fewest steps that give a token."""
        steps = 1
        for kind, size in reversed(self._blocks):
            steps = steps + size - 1 if kind == "K" else steps * size
        return steps

    def _check_steps(self, shape):
        if len(shape) != 3 or (shape[1] is not None and shape[1] < self.shortest):
            raise ValueError(
                f"TemporalConv {'-'.join(self.spec)} needs (batch, steps, channels) of at least "
                f"{self.shortest} steps, got shape {tuple(shape)}; repeat the first and last frames of "
                "shorter clips."
            )

    def build(self, input_shape: Shape) -> None:
        self._check_steps(input_shape)
        channels = input_shape[-1]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            convolution.build((input_shape[0], None, channels))
            norm.build((input_shape[0], None, self.filters))
            channels = self.filters
        self.built = True

    def call(self, x: Tensor, mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        self._check_steps(x.shape)
        if not self.masked_normalization:
            mask = None
        parts = zip(self.convolutions, self.norms, strict=True)
        for block in self._blocks:
            kind, size = block
            if mask is not None:
                mask = _last_steps(mask, block)
            if kind == "P":
                x = ops.max_pool(x, size, strides=size, data_format="channels_last")
                continue
            convolution, norm = next(parts)
            # `call` itself: the mask is followed here, and Keras would warn that a convolution drops it.
            x = ops.relu(norm.call(convolution.call(x), training=training, mask=mask))
        return x

    def compute_mask(self, x: Tensor, mask: Tensor | None = None) -> Tensor | None:
        if mask is None:
            return None
        for block in self._blocks:
            mask = _last_steps(mask, block)
        return ops.cast(mask, "bool")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._check_steps(input_shape)
        steps = input_shape[1]
        return (input_shape[0], None if steps is None else self.token_count(steps), self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "spec": self.spec,
            "masked_normalization": self.masked_normalization,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


def _last_steps(mask, block):
    """The mask of the last step that each output of a block sees."""
    kind, size = block
    return mask[:, size - 1 :] if kind == "K" else mask[:, size - 1 :: size]
