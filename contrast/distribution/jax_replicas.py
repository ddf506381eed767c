"""JAX: `keras.distribution.DataParallel`, under which a step sees the global batch."""

import os

import jax
import keras

step_of_replica = None  # the step of Keras


def begin(devices, timeout):
    """See `contrast.distribution.start`; `timeout` is JAX's own."""
    processes = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1"))
    try:
        if devices is not None:
            jax.config.update("jax_num_cpu_devices", devices)
        if processes > 1:
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
            keras.distribution.initialize()
    except RuntimeError as error:
        raise ValueError(
            f"start must be called before JAX has computed anything, which takes its devices: {error}"
        ) from error
    found = jax.devices()
    wanted = len(found) if devices is None else devices * processes
    if len(found) < wanted:
        raise ValueError(
            f"devices must be at most the {len(found) // processes} of this process, got {devices}."
        )
    own = [[device for device in found if device.process_index == index] for index in range(processes)]
    names = [f"{device.platform}:{device.id}" for part in own for device in part[:devices]]
    strategy = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    return wanted, jax.process_index(), processes, strategy, strategy.scope


def gpu_count():
    """How many GPUs this machine has; afterwards it is too late to make virtual devices."""
    return sum(device.platform == "gpu" for device in jax.local_devices())
