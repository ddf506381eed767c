from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


class EmbeddingCallback(keras.callbacks.Callback):
    """Base of the callbacks that embed samples after an epoch and log numbers, with the prefix `name`.

    A subclass implements `measures(epoch)`: a dict of floats. See `contrast.callbacks.EvaluateEmbeddings` for
    the arguments.
    """

    def __init__(
        self,
        encoder: Callable[..., Any] | None,
        every: int,
        select: Callable[[Any], Any] | None,
        batch_size: int,
        name: str,
    ) -> None:
        super().__init__()
        if encoder is not None and not callable(encoder):
            raise TypeError(f"encoder must be a layer, model or function, got {type(encoder).__name__}.")
        for argument, value in (("every", every), ("batch_size", batch_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{argument} must be a positive int, got {value!r}.")
        self.encoder, self.every, self.select = encoder, every, select
        self.batch_size, self.name = batch_size, name

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        measures = self.measures(epoch)
        if logs is not None:
            logs.update({f"{self.name}_{key}": value for key, value in measures.items()})

    def encode(self, samples: Any) -> np.ndarray:
        """The embeddings of samples as they are now, a float32 array `(n, dim)`."""
        starts = range(0, len(keras.tree.flatten(samples)[0]), self.batch_size)
        return np.concatenate([self._encode(samples, slice(i, i + self.batch_size)) for i in starts])

    def _encode(self, samples, part):
        encoder = self.model if self.encoder is None else self.encoder
        batch = keras.tree.map_structure(lambda x: ops.convert_to_tensor(x[part]), samples)
        options = {"training": False} if isinstance(encoder, keras.Layer) else {}
        outputs = encoder(batch, **options)
        if self.select is not None:
            outputs = self.select(outputs)
        elif isinstance(outputs, tuple | list):
            outputs = outputs[0]
        if isinstance(outputs, dict):
            raise ValueError(
                f"the encoder returns a dict with {', '.join(map(repr, outputs))}; say which are the "
                f"embeddings, as with {type(self).__name__}(..., select=lambda outputs: outputs['name'])."
            )
        outputs = ops.cast(ops.stop_gradient(ops.convert_to_tensor(outputs)), "float32")
        if len(outputs.shape) == 3:
            outputs = outputs[:, 0]
        if len(outputs.shape) != 2:
            raise ValueError(
                "embeddings must be (n, dim) or (n, views, dim), got shape "
                f"{tuple(outputs.shape)}; pool or choose with {type(self).__name__}(..., select=...)."
            )
        return ops.convert_to_numpy(outputs)


def sample_arrays(name: str, samples: Any, least: int = 1) -> Any:
    """`samples` as NumPy arrays; a ValueError if their lengths differ or are below `least`."""
    samples = keras.tree.map_structure(np.asarray, samples)
    lengths = {len(x) if x.ndim else 0 for x in keras.tree.flatten(samples)}
    if len(lengths) != 1 or min(lengths) < least:
        raise ValueError(
            f"{name} must be arrays of one length, of at least {least} sample{'s' * (least > 1)}, got "
            f"{', '.join(map(str, sorted(lengths))) or 'no array'}."
        )
    return samples
