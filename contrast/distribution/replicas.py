from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import keras

from contrast.distribution.batch_norm import BATCH_NORM
from contrast.distribution.replica_batches import ReplicaBatches

match keras.backend.backend():
    case "tensorflow":
        from contrast.distribution.tensorflow_replicas import begin, gpu_count, step_of_replica
    case "jax":
        from contrast.distribution.jax_replicas import begin, gpu_count, step_of_replica
    case "torch":
        from contrast.distribution.torch_replicas import begin, gpu_count, step_of_replica

__all__ = ["Replicas", "gpu_count", "start"]

AUTO = "auto"


@dataclass(frozen=True)
class Replicas:
    """The devices that a model is trained on together; `start` makes it.

    Attributes:
        count: how many replicas compute a step: devices of all processes together.
        index: which process this is, from 0. Process 0 alone should write files.
        processes: how many there are.
        strategy: the `tf.distribute.Strategy`, the `keras.distribution.DataParallel`, or `None` on PyTorch.
    """

    count: int
    index: int
    processes: int
    strategy: Any
    _scope: Callable[[], AbstractContextManager]

    def scope(self) -> AbstractContextManager:
        """The context in which models are made, compiled and trained."""
        return self._scope()

    def prepare(self, model: keras.Model, batch_norm: str = "synchronized") -> keras.Model:
        """Gives a model the training step that replicas need; `fit` is then called as ever.

        On TensorFlow `steps_per_execution` becomes 1: a loop over steps fails there. On PyTorch the step runs
        in a `torch.nn.parallel.DistributedDataParallel`. Seed generators of the
        model draw other numbers on each replica. On JAX the step of Keras sees the global batch, and is left
        as it is.

        Args:
            model: a `keras.Model` with the training step of Keras, built or not.
            batch_norm: `"synchronized"`: batch normalisation takes its moments over the global batch;
                `"per_replica"`: over a replica's own rows. Moving statistics then differ between replicas,
                and those of the first are saved.

        Returns:
            The same model.

        Raises:
            ValueError: if `batch_norm` is another word, or `"per_replica"` on JAX.
            TypeError: if this is no model, or it has a `train_step` of its own.
        """
        if batch_norm not in BATCH_NORM:
            raise ValueError(
                f"batch_norm must be one of {', '.join(map(repr, BATCH_NORM))}, got {batch_norm!r}."
            )
        if batch_norm == "per_replica" and keras.backend.backend() == "jax":
            raise ValueError(
                "batch_norm must be 'synchronized' on JAX, whose step is one program for the global batch."
            )
        if not isinstance(model, keras.Model):
            raise TypeError(f"model must be a keras.Model, got {type(model).__name__}.")
        if self.count == 1 or step_of_replica is None:
            return model
        if type(model).train_step is not keras.Model.train_step or "train_step" in vars(model):
            raise TypeError(
                f"{type(model).__name__} has a train_step of its own, which the step of a replica would "
                "replace; override compute_loss instead."
            )
        model.train_step = step_of_replica(model, batch_norm)
        model.train_function = None  # made from the step at the next fit
        return model

    def batches(self, batches: keras.utils.PyDataset, drop_rows: bool = False) -> keras.utils.PyDataset:
        """What this process gives to `fit`, of batches that are the same in all processes.

        Args:
            batches: a `keras.utils.PyDataset`.
            drop_rows: leave out what cannot be shared, which otherwise is refused: a last batch of fewer rows
                than there are devices and, on JAX, where every device needs as many, the last rows of a batch
                that the devices do not divide.

        Raises:
            TypeError: if they are no `keras.utils.PyDataset`.
        """
        is_tensorflow = keras.backend.backend() == "tensorflow"
        if is_tensorflow:  # its strategies divide what they are given, over processes too
            return ReplicaBatches(batches, 0, 1, self.count, drop_rows=drop_rows)
        devices = self.count // self.processes
        return ReplicaBatches(
            batches,
            self.index,
            self.processes,
            devices,
            even=keras.backend.backend() == "jax",
            drop_rows=drop_rows,
        )


def start(devices: int | str = AUTO, timeout: float = 600.0) -> Replicas:
    """Takes the devices to train on. Call it first, before anything is computed.

    | backend | one process | several processes, which their environment tells of |
    | --- | --- | --- |
    | TensorFlow | `MirroredStrategy` | `MultiWorkerMirroredStrategy`, `TF_CONFIG` |
    | JAX | `keras.distribution.DataParallel` | the same, `KERAS_DISTRIBUTION_JOB_ADDRESSES` and others |
    | PyTorch | one device | `DistributedDataParallel`, `RANK`, `WORLD_SIZE`, ... of torchrun |

    Args:
        devices: of this process. `"auto"`: all GPUs, or the processor. A number: so many GPUs, or, without a
            GPU, so many virtual devices of the processor, which are not faster but let one try things out. On
            PyTorch a process has one device.
        timeout: seconds after which a process gives up that waits for another; on TensorFlow and JAX it is
            theirs.

    Raises:
        ValueError: if there are not so many devices, or it is too late to make virtual ones.

    Example:

    >>> contrast.distribution.start().count
    1
    """
    if devices != AUTO and (not isinstance(devices, int) or devices < 1):
        raise ValueError(f"devices must be {AUTO!r} or a number from 1, got {devices!r}.")
    return Replicas(*begin(None if devices == AUTO else devices, timeout))
