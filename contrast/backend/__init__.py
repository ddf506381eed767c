"""The few things that Keras 3 lacks or does differently on each of its backends.

Every backend module defines the same functions:

- `scan(body, carry, length, outputs)`: a loop whose iterations run strictly one after the other;
- `value_and_grad(function, *tensors)`: a scalar function's value and its gradients;
- `replica_count()`: on how many replicas the current step runs.
"""

import keras

match keras.backend.backend():
    case "tensorflow":
        from contrast.backend.tensorflow_backend import replica_count, scan, value_and_grad
    case "jax":
        from contrast.backend.jax_backend import replica_count, scan, value_and_grad
    case "torch":
        from contrast.backend.torch_backend import replica_count, scan, value_and_grad
    case other:
        raise ImportError(
            f"contrast runs on the backends tensorflow, jax and torch, got {other!r}; set KERAS_BACKEND."
        )

__all__ = ["replica_count", "scan", "value_and_grad"]
