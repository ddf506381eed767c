"""Views of time series `(batch, time, channels)`."""

from typing import Any

import keras
from keras import ops

from contrast.augmentation.drawing_layer import DrawingLayer
from contrast.augmentation.masks import ranks
from contrast.typing import Shape, Tensor

SERIES = "time series (batch, time, channels)"


@keras.saving.register_keras_serializable(package="contrast")
class RandomJitter(DrawingLayer):
    r"""Adds noise $\epsilon \sim N(0, \sigma^2)$ to each value, drawn apart for each.

    Args:
        sigma: $\sigma$, at least 0, in the unit of the values.
        seed: int or `None`.

    Call: series `(batch, time, channels)`, shape kept; unchanged with `training=False`.

    Raises:
        ValueError: if `sigma` is below 0, or series have another rank.

    Example:

    >>> noisy = contrast.augmentation.RandomJitter(0.05)
    >>> tuple(noisy(np.zeros((4, 20, 3), "float32"), training=True).shape)
    (4, 20, 3)

    Reference: [Um et al., 2017](https://arxiv.org/abs/1706.00527), section 3.
    """

    arguments = ("sigma",)
    wanted = SERIES

    def __init__(self, sigma: float = 0.05, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.sigma = _checked_sigma(sigma)

    def draw(self, series: Tensor) -> Tensor:
        noise = keras.random.normal(ops.shape(series), 0.0, self.sigma, seed=self.generator, dtype="float32")
        return series + ops.cast(noise, series.dtype)


@keras.saving.register_keras_serializable(package="contrast")
class RandomScaling(DrawingLayer):
    r"""Multiplies each channel of each series by a factor of its own, drawn from $N(1, \sigma^2)$.

    Args:
        sigma: $\sigma$, at least 0.
        seed: int or `None`.

    Call: series `(batch, time, channels)`, shape kept; unchanged with `training=False`.

    Raises:
        ValueError: if `sigma` is below 0, or series have another rank.

    Example:

    >>> scaled = contrast.augmentation.RandomScaling(0.1)
    >>> tuple(scaled(np.ones((4, 20, 3), "float32"), training=True).shape)
    (4, 20, 3)

    Reference: [Um et al., 2017](https://arxiv.org/abs/1706.00527), section 3.
    """

    arguments = ("sigma",)
    wanted = SERIES

    def __init__(self, sigma: float = 0.1, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.sigma = _checked_sigma(sigma)

    def draw(self, series: Tensor) -> Tensor:
        shape = (ops.shape(series)[0], 1, series.shape[2])
        factor = keras.random.normal(shape, 1.0, self.sigma, seed=self.generator, dtype="float32")
        return series * ops.cast(factor, series.dtype)


@keras.saving.register_keras_serializable(package="contrast")
class RandomPermutation(DrawingLayer):
    """Cuts each series at random places into segments, and puts them together in a random order.

    Args:
        segments: how many, at least 2; each holds one step at least.
        seed: int or `None`.

    Call: series `(batch, time, channels)`, shape kept; unchanged with `training=False`.

    Raises:
        ValueError: if `segments` is below 2 or exceeds the length of the series, or series have another rank.

    Example:

    >>> mixed = contrast.augmentation.RandomPermutation(4)
    >>> tuple(mixed(np.zeros((4, 20, 3), "float32"), training=True).shape)
    (4, 20, 3)

    Reference: [Um et al., 2017](https://arxiv.org/abs/1706.00527), section 3.
    """

    arguments = ("segments",)
    wanted = SERIES

    def __init__(self, segments: int = 4, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if segments < 2:
            raise ValueError(f"segments must be at least 2, got {segments}.")
        self.segments = segments

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if shape[1] < self.segments:
            raise ValueError(
                f"RandomPermutation needs series of at least {self.segments} steps, one for each segment, "
                f"got shape {tuple(shape)}."
            )

    def draw(self, series: Tensor) -> Tensor:
        batch, time = ops.shape(series)[0], series.shape[1]
        cuts = ops.cast(ranks(self.uniform((batch, time - 1))) < self.segments - 1, "int32")
        segment = ops.pad(ops.cumsum(cuts, axis=1), ((0, 0), (1, 0)))
        turn = ranks(self.uniform((batch, self.segments)))
        turn = ops.take_along_axis(turn, segment, axis=1)
        order = ops.argsort(turn * time + ops.arange(time, dtype="int32"), axis=1)
        return ops.take_along_axis(series, order[:, :, None], axis=1)


@keras.saving.register_keras_serializable(package="contrast")
class RandomTimeCrop(DrawingLayer):
    """Cuts out a stretch of one length, each series at a place of its own.

    Args:
        length: steps of the stretch.
        seed: int or `None`.

    Call: series `(batch, time, channels)` to `(batch, length, channels)`. With `training=False` the middle.

    Raises:
        ValueError: if `length` is below 1 or exceeds that of the series, or series have another rank.

    Example:

    >>> crop = contrast.augmentation.RandomTimeCrop(12)
    >>> tuple(crop(np.zeros((4, 20, 3), "float32"), training=True).shape)
    (4, 12, 3)
    """

    arguments = ("length",)
    wanted = SERIES

    def __init__(self, length: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}.")
        self.length = length

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if shape[1] < self.length:
            raise ValueError(f"length must not exceed that of the series, {shape[1]}, got {self.length}.")

    def draw(self, series: Tensor) -> Tensor:
        free = series.shape[1] - self.length
        start = ops.cast(ops.floor(self.uniform((ops.shape(series)[0], 1)) * (free + 1)), "int32")
        steps = ops.minimum(start, free) + ops.arange(self.length, dtype="int32")
        return ops.take_along_axis(series, steps[:, :, None], axis=1)

    def at_inference(self, series: Tensor) -> Tensor:
        start = (series.shape[1] - self.length) // 2
        return series[:, start : start + self.length]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        return (input_shape[0], self.length, input_shape[2])


def _checked_sigma(sigma):
    if sigma < 0:
        raise ValueError(f"sigma must be at least 0, got {sigma}.")
    return sigma
