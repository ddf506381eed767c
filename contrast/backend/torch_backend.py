"""PyTorch bodies of `contrast.backend`."""

import torch
from keras import ops


def scan(body, carry, length, outputs=0):
    """Runs `carry, outs = body(carry, index)` for each index below `length`, in order.

    See `contrast.backend.tensorflow_backend.scan` for the arguments.
    """
    stacks = tuple([] for _ in range(outputs))
    for index in range(length):
        carry, outs = body(carry, index)
        for stack, out in zip(stacks, outs, strict=True):
            stack.append(out)
    return carry, tuple(torch.stack(stack) for stack in stacks)


def value_and_grad(function, *tensors):
    """Returns `function(*tensors)`, a scalar, and the tuple of its gradients."""
    tensors = [ops.convert_to_tensor(t).detach().requires_grad_() for t in tensors]
    value = function(*tensors)
    gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    return value.detach(), tuple(
        torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)
    )


def replica_count():
    """1: this Keras release has no distribution on PyTorch."""
    return 1
