"""Batch normalisation over the global batch."""

import keras
from keras import ops

from contrast.backend import gather, replica_count

BATCH_NORM = ("synchronized", "per_replica")


def synchronize(model):
    """Makes every `BatchNormalization` of a model take its moments over the rows of all replicas.

    Keras's own `synchronized=True` exists on TensorFlow only, and a model saved with it opens nowhere else.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and "_moments" not in vars(layer):
            # The method that Keras's call takes mean and variance from; there is no public one.
            layer._moments = _moments_of_all(layer, layer._moments)


def _moments_of_all(layer, moments):
    def of_all(inputs, mask):
        mean, variance = moments(inputs, mask)
        if replica_count() == 1:
            return mean, variance
        counted = ops.ones_like(inputs) if mask is None else ops.ones_like(inputs) * _column(mask, inputs)
        count = ops.sum(counted, axis=layer._reduction_axes)
        # The moments of a replica without rows are NaN.
        empty = ops.equal(count, 0)
        parts = ops.stack([count, *(ops.where(empty, 0.0, part) for part in (mean, variance))])
        gathered = gather(parts[None])
        counts, means, variances = (gathered[:, part] for part in range(3))
        total = ops.sum(counts, axis=0)
        mean = ops.divide_no_nan(ops.sum(counts * means, axis=0), total)
        spread = variances + ops.square(means - mean)
        return mean, ops.divide_no_nan(ops.sum(counts * spread, axis=0), total)

    return of_all


def _column(mask, inputs):
    return ops.cast(ops.expand_dims(mask, axis=-1), inputs.dtype)
