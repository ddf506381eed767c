"""Views of spectrograms `(batch, time, frequency)` or `(batch, time, frequency, channels)`."""

from typing import Any

import keras
from keras import ops

from contrast.augmentation.drawing_layer import DrawingLayer
from contrast.typing import Shape, Tensor


class SpectrogramMask(DrawingLayer):
    """What the masks over time and over frequency share.

    Args:
        width: the largest width of a mask, in steps or bands; each draws from 0 to this.
        count: how many masks, which may overlap.
        value: what stands in the mask; `"mean"`: the mean of the spectrogram.
        seed: int or `None`.
    """

    axis: int
    arguments = ("width", "count", "value")
    ranks = (3, 4)
    wanted = "spectrograms (batch, time, frequency) or (batch, time, frequency, channels)"

    def __init__(
        self, width: int, count: int = 1, value: float | str = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        for name, number in (("width", width), ("count", count)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        if isinstance(value, str) and value != "mean":
            raise ValueError(f'value must be a number or "mean", got {value!r}.')
        self.width, self.count, self.value = width, count, value

    def check(self, shape: Shape) -> None:
        super().check(shape)
        if shape[self.axis] < self.width:
            raise ValueError(
                f"width must not exceed the spectrogram's {shape[self.axis]} "
                f"{('steps', 'bands')[self.axis - 1]}, got {self.width}."
            )

    def draw(self, spectrograms: Tensor) -> Tensor:
        length = spectrograms.shape[self.axis]
        shape = (ops.shape(spectrograms)[0], self.count, 1)
        width = ops.minimum(ops.floor(self.uniform(shape) * (self.width + 1)), self.width)
        start = ops.floor(self.uniform(shape) * (length - width + 1))
        places = ops.arange(length, dtype="float32")
        masked = ops.any(ops.logical_and(places >= start, places < start + width), axis=1)
        sides = [1] * (len(spectrograms.shape) - 1)
        sides[self.axis - 1] = length
        masked = ops.reshape(masked, (-1, *sides))
        return ops.where(masked, self._values(spectrograms), spectrograms)

    def _values(self, spectrograms):
        if self.value != "mean":
            return ops.cast(self.value, spectrograms.dtype)
        axes = tuple(range(1, len(spectrograms.shape)))
        mean = ops.mean(ops.cast(spectrograms, "float32"), axis=axes, keepdims=True)
        return ops.cast(mean, spectrograms.dtype)


@keras.saving.register_keras_serializable(package="contrast")
class RandomTimeMask(SpectrogramMask):
    """Masks stretches of time over all frequencies, each spectrogram at places of its own.

    Args:
        width: the largest number of steps in a mask; each draws from 0 to this.
        count: how many masks, which may overlap.
        value: what stands in the mask, 0 being the mean of standardised spectrograms; `"mean"`: the mean of
            the spectrogram.
        seed: int or `None`.

    Call: spectrograms `(batch, time, frequency)` or `(batch, time, frequency, channels)`, shape kept;
        unchanged with `training=False`.

    Raises:
        ValueError: if `width` or `count` is below 1, the width exceeds the spectrogram's, or the rank is
            another one.

    Example:

    >>> masked = contrast.augmentation.RandomTimeMask(10, count=2)
    >>> tuple(masked(np.ones((4, 50, 16), "float32"), training=True).shape)
    (4, 50, 16)

    Reference: [Park et al., 2019](https://arxiv.org/abs/1904.08779), section 2.
    """

    axis = 1


@keras.saving.register_keras_serializable(package="contrast")
class RandomFrequencyMask(SpectrogramMask):
    """Masks bands of frequencies at all times, each spectrogram bands of its own.

    Args:
        width: the largest number of frequencies in a mask; each draws from 0 to this.
        count: how many masks, which may overlap.
        value: what stands in the mask, 0 being the mean of standardised spectrograms; `"mean"`: the mean of
            the spectrogram.
        seed: int or `None`.

    Call: spectrograms `(batch, time, frequency)` or `(batch, time, frequency, channels)`, shape kept;
        unchanged with `training=False`.

    Raises:
        ValueError: if `width` or `count` is below 1, the width exceeds the spectrogram's, or the rank is
            another one.

    Example:

    >>> masked = contrast.augmentation.RandomFrequencyMask(4, count=2, value="mean")
    >>> tuple(masked(np.ones((4, 50, 16), "float32"), training=True).shape)
    (4, 50, 16)

    Reference: [Park et al., 2019](https://arxiv.org/abs/1904.08779), section 2.
    """

    axis = 2
