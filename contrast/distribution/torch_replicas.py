"""PyTorch: one process a device, gradients averaged by `DistributedDataParallel`."""

import os
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import keras
import torch
import torch.distributed as dist
from keras.src.losses import loss as keras_loss  # Keras divides its losses on TensorFlow only
from torch.nn.parallel import DistributedDataParallel

from contrast.backend import mean_over_replicas
from contrast.backend.torch_backend import on_replicas
from contrast.distribution.batch_norm import synchronize
from contrast.distribution.seeds import seeds_of_replica


def begin(devices, timeout):
    """See `contrast.distribution.start`."""
    if devices not in (None, 1):
        raise ValueError(
            f"devices must be 1 on PyTorch, where each has a process of its own, got {devices}; run the "
            f"program with python -m contrast.distribution --processes {devices}, or torchrun."
        )
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        kind = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(kind, timeout=timedelta(seconds=timeout))
    index = dist.get_rank() if processes > 1 else 0
    return processes, index, processes, None, nullcontext


def gpu_count():
    """How many GPUs this machine has."""
    return torch.cuda.device_count()


def step_of_replica(model, batch_norm):
    """What stands for `model.train_step` on several replicas."""
    parallel = {}  # beside the model, of which it must not become a part
    model._aggregate_additional_loss = lambda loss: keras_loss.scale_loss_for_distribution(
        type(model)._aggregate_additional_loss(model, loss)
    )

    def train_step(data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if batch_norm == "synchronized":
            synchronize(model)
        weights = model.trainable_weights[:]
        trained = tuple(id(weight.value) for weight in weights)
        if parallel.get("trained") != trained:
            devices = [torch.cuda.current_device()] if torch.cuda.is_available() else None
            parallel["module"] = DistributedDataParallel(_Loss(model), devices)
            parallel["trained"] = trained
        model.zero_grad()
        with on_replicas(), _losses_of_replica(), seeds_of_replica(model, dist.get_rank()):
            loss, y_pred = parallel["module"](x, y, sample_weight)
            # Gradients are averaged here, and summed where a loss is divided by the number of replicas.
            loss = loss * dist.get_world_size()
            scaled = model.optimizer.scale_loss(loss)
            scaled.backward()
            rows = len(next(array for array in keras.tree.flatten(x) if array is not None))
            all_rows = mean_over_replicas(torch.tensor(float(rows), device=loss.device))
            loss = mean_over_replicas(loss.detach())
        with torch.no_grad():
            model.optimizer.apply([weight.value.grad for weight in weights], weights)
        model._loss_tracker.update_state(loss, sample_weight=all_rows)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    return train_step


@contextmanager
def _losses_of_replica():
    """In the block Keras's own losses are divided by the number of replicas, as under `tf.distribute`."""
    kept = keras_loss.scale_loss_for_distribution, keras_loss.unscale_loss_for_distribution
    count = dist.get_world_size()
    keras_loss.scale_loss_for_distribution = lambda value: value / count
    keras_loss.unscale_loss_for_distribution = lambda value: value * count
    try:
        yield
    finally:
        keras_loss.scale_loss_for_distribution, keras_loss.unscale_loss_for_distribution = kept


class _Loss(torch.nn.Module):
    """The loss of a model as a module: `DistributedDataParallel` works around a module's call."""

    def __init__(self, model):
        super().__init__()
        # Keras tracks parameters by path, of which two may be alike.
        self.values = torch.nn.ParameterList([variable.value for variable in model.variables])
        self.models = [model]

    def forward(self, x, y, sample_weight):
        (model,) = self.models
        y_pred = model(x, training=True) if model._call_has_training_arg else model(x)
        loss = model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        return loss, y_pred
