"""TensorFlow: strategies of `tf.distribute`."""

import json
import os
from functools import partial

import keras
import tensorflow as tf

from contrast.distribution.batch_norm import synchronize
from contrast.distribution.seeds import seeds_of_replica


def begin(devices, timeout):
    """See `contrast.distribution.start`; `timeout` is TensorFlow's own."""
    workers = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {}).get("worker", ())
    gpus = tf.config.list_physical_devices("GPU")
    if devices is not None:
        _take(gpus, devices)
    if len(workers) > 1:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        index = strategy.cluster_resolver.task_id
    else:
        kind = "GPU" if gpus else "CPU"
        names = [device.name for device in tf.config.list_logical_devices(kind)]
        strategy, index = tf.distribute.MirroredStrategy(names), 0
    return strategy.num_replicas_in_sync, index, max(1, len(workers)), strategy, strategy.scope


def _take(gpus, devices):
    try:
        if gpus:
            if len(gpus) < devices:
                raise ValueError(
                    f"devices must be at most the {len(gpus)} GPUs of this machine, got {devices}."
                )
            tf.config.set_visible_devices(gpus[:devices], "GPU")
        else:
            processor = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(
                processor, [tf.config.LogicalDeviceConfiguration()] * devices
            )
    except RuntimeError as error:
        raise ValueError(
            f"devices must be 'auto' once TensorFlow has computed something, got {devices}; call start first."
        ) from error


def gpu_count():
    """How many GPUs this machine has."""
    return len(tf.config.list_physical_devices("GPU"))


def step_of_replica(model, batch_norm):
    """What stands for `model.train_step` on several replicas."""
    several_processes = isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)
    # Keras builds a model from the mean of what replicas get, which masks and several processes do not have.
    model._maybe_symbolic_build = partial(_build, model)
    model.steps_per_execution = 1  # a loop over steps fails in TensorFlow where a step has loops of its own
    if several_processes:
        model.test_step = lambda data: _with_an_axis(type(model).test_step(model, data))

    def train_step(data):
        if batch_norm == "synchronized":
            synchronize(model)
        context = tf.distribute.get_replica_context()
        with seeds_of_replica(model, context.replica_id_in_sync_group):
            logs = type(model).train_step(model, data)
        return _with_an_axis(logs) if several_processes else logs

    return train_step


def _build(model, iterator=None, data_batch=None):
    """Builds a model from the rows of a replica of this process."""
    if iterator is not None:
        data_batch = next(next(data for _, _, data in iterator))
    strategy = model.distribute_strategy
    rows = keras.tree.map_structure(lambda x: strategy.experimental_local_results(x)[0], data_batch)
    with strategy.scope():
        model._symbolic_build(data_batch=rows)


def _with_an_axis(logs):
    """Scalars as vectors: of several processes Keras takes the mean over replicas and the first axis."""
    return {name: tf.convert_to_tensor(value)[None] for name, value in logs.items()}
