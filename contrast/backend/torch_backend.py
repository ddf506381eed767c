"""PyTorch bodies of `contrast.backend`."""

from contextlib import contextmanager, nullcontext

import keras
import torch
import torch.distributed as dist
from keras import ops
from keras.src.backend.torch.core import get_device  # Keras offers no public way to ask for it
from torch.utils.checkpoint import checkpoint

_on_replicas = False


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


def set_at(x, index, value):
    """The tensor `x` with `value` in the place of `x[index]`.

    See `contrast.backend.tensorflow_backend.set_at` for the arguments.
    """
    x[index] = value
    return x


def add_at(x, index, value):
    """The tensor `x` with `value` added to `x[index]`.

    See `contrast.backend.tensorflow_backend.set_at` for the arguments.
    """
    x[index] += value
    return x


def value_and_grad(function, *tensors):
    """Returns `function(*tensors)`, a scalar, and the tuple of its gradients."""
    tensors = [ops.convert_to_tensor(t).detach().requires_grad_() for t in tensors]
    with torch.enable_grad():  # inside the backward of another gradient it is off
        value = function(*tensors)
        gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    return value.detach(), tuple(
        torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)
    )


def map_chunks(function, weights, state, parts):
    """Applies a function to chunks of rows, one after the other; backward computes each chunk once more.

    See `contrast.backend.tensorflow_backend.map_chunks` for the arguments. What is drawn from PyTorch's own
    generators is drawn again alike.
    """
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*weights, *parts))
    chunks = []
    for index in range(parts[0].shape[1]):
        arguments = weights, state, [part[:, index] for part in parts]
        if needs_gradient:
            outputs, state = checkpoint(function, *arguments, use_reentrant=False)
        else:
            outputs, state = function(*arguments)
        chunks.append(outputs)
    return [torch.stack(outputs) for outputs in zip(*chunks, strict=True)], state


def compiled(function, variables):
    """The function without gradients: PyTorch runs it as it is.

    See `contrast.backend.tensorflow_backend.compiled` for the arguments.
    """
    return torch.no_grad()(function)


def untraced():
    """A block in which nothing is different: nothing is traced outside of it either."""
    return nullcontext()


def two_gradient_step(model, ascend):
    """A training step whose gradient is taken at other weights than those that it updates.

    See `contrast.backend.tensorflow_backend.two_gradient_step`.
    """

    def gradients(x, y, sample_weight):
        model.zero_grad()
        y_pred = model(x, training=True) if model._call_has_training_arg else model(x)
        loss = model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        model.optimizer.scale_loss(loss).backward()
        found = [variable.value.grad for variable in model.trainable_variables]
        model.zero_grad()
        return loss.detach(), y_pred, found

    def train_step(data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        state = [*model.non_trainable_variables, *model.metrics_variables]
        weights = model.trainable_variables
        before, old, random_before = _copies(state), _copies(weights), random_state()
        loss, y_pred, first = gradients(x, y, sample_weight)
        after, random_after = _copies(state), random_state()
        with torch.no_grad():
            _assign(state, before)
            _assign(weights, ascend(first, old))
        set_random_state(random_before)
        _, _, second = gradients(x, y, sample_weight)
        set_random_state(random_after)
        with torch.no_grad():
            _assign(weights, old)
            _assign(state, after)
            model.optimizer.apply(second, weights)
        batch = next(array for array in keras.tree.flatten(x) if array is not None).shape[0]
        model._loss_tracker.update_state(loss, sample_weight=batch)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    return train_step


def _copies(variables):
    return [variable.value.detach().clone() for variable in variables]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextmanager
def on_replicas():
    """In the block this process is one of the replicas of `torch.distributed`, which run the same code.

    Outside of it a loss is that of the process's own rows, so that one process may evaluate by itself.
    """
    global _on_replicas
    before, _on_replicas = _on_replicas, True
    try:
        yield
    finally:
        _on_replicas = before


def has_accelerator():
    """Whether Keras puts tensors on something else than the processor."""
    return get_device() not in ("cpu", "meta")


def replica_count():
    """The processes of `torch.distributed` inside `on_replicas()`, else 1."""
    return dist.get_world_size() if _on_replicas else 1


def replica_index():
    """The rank of this process inside `on_replicas()`, else 0."""
    return dist.get_rank() if _on_replicas else 0


def gather_rows(x):
    """The rows of all processes, which need not have equally many."""
    return _GatheredRows.apply(x)


class _GatheredRows(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(dist.get_world_size())]
        dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
        context.counts = counts = [int(count) for count in counts]
        padded = x.new_zeros((max(counts), *x.shape[1:]))
        padded[: len(x)] = x.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(context, gradient):
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return torch.split(gradient, context.counts)[dist.get_rank()]


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
