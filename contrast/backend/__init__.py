"""The few things that Keras 3 lacks or does differently on each of its backends.

Every backend module defines the same functions:

- `scan(body, carry, length, outputs)`: a loop whose iterations run strictly one after the other;
- `set_at(x, index, value)` and `add_at(x, index, value)`: the tensor with one entry of its first axis
  replaced, or increased;
- `value_and_grad(function, *tensors)`: a scalar function's value and its gradients;
- `compiled(function, variables)`: the function compiled, without gradients, for inference;
- `two_gradient_step(model, ascend)`: a training step whose gradient is taken at other weights;
- `replica_count()`: on how many replicas the current step runs;
- `random_state()` and `set_random_state(state)`: what the backend itself draws random numbers from, as a dict
  of NumPy arrays.
"""

import keras

match keras.backend.backend():
    case "tensorflow":
        from contrast.backend.tensorflow_backend import (
            add_at,
            compiled,
            random_state,
            replica_count,
            scan,
            set_at,
            set_random_state,
            two_gradient_step,
            value_and_grad,
        )
    case "jax":
        from contrast.backend.jax_backend import (
            add_at,
            compiled,
            random_state,
            replica_count,
            scan,
            set_at,
            set_random_state,
            two_gradient_step,
            value_and_grad,
        )
    case "torch":
        from contrast.backend.torch_backend import (
            add_at,
            compiled,
            random_state,
            replica_count,
            scan,
            set_at,
            set_random_state,
            two_gradient_step,
            value_and_grad,
        )
    case other:
        raise ImportError(
            f"contrast runs on the backends tensorflow, jax and torch, got {other!r}; set KERAS_BACKEND."
        )

__all__ = [
    "add_at",
    "compiled",
    "random_state",
    "replica_count",
    "scan",
    "set_at",
    "set_random_state",
    "two_gradient_step",
    "value_and_grad",
]
