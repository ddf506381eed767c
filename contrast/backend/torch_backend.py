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
    with torch.enable_grad():  # inside the backward of another gradient it is off
        value = function(*tensors)
        gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    return value.detach(), tuple(
        torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)
    )


def compiled(function, variables):
    """The function without gradients: PyTorch runs it as it is.

    See `contrast.backend.tensorflow_backend.compiled` for the arguments.
    """
    return torch.no_grad()(function)


def replica_count():
    """1: this Keras release has no distribution on PyTorch."""
    return 1


def random_state():
    """States of PyTorch's generators, of the processor and of each NVIDIA device, as uint8 arrays.

    A Dropout without a seed draws from them.
    """
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    states = {"cpu": torch.get_rng_state(), **{f"cuda:{index}": state for index, state in enumerate(devices)}}
    return {device: state.cpu().numpy() for device, state in states.items()}


def set_random_state(state):
    """Sets what `random_state` returned, for the devices that are here."""
    for device, array in state.items():
        values = torch.from_numpy(array.copy())
        if device == "cpu":
            torch.set_rng_state(values)
        elif int(device.partition(":")[2]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(values, device)
