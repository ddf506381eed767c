"""What a model's `compute_loss` returns."""

import keras
from keras import ops

from contrast import backend
from contrast.typing import Tensor


def total_loss(model: keras.Model, mean: Tensor | None = None, loss: Tensor | None = None) -> Tensor:
    """Adds up what a model trains on: the one way out of a `compute_loss` of your own.

    Under `tf.distribute` gradients are summed over the replicas, so each replica's mean must be divided by
    their number. A `keras.losses.Loss`, those of this library included, has done so when it returns; a mean
    that you wrote with operations has not.

    Args:
        model: the model, whose `losses` (regularisers, `add_loss`) are added.
        mean: scalar tensor: what you computed as a mean over this replica's batch; divided here. Or `None`.
        loss: scalar tensor: what one or several `Loss` objects returned, summed; left as it is. Or `None`.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: if both `mean` and `loss` are `None`.

    Example:

    ```python
    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        contrast_loss = contrast.losses.InfoNCE(self.temperature)(y, y_pred)
        return contrast.losses.total_loss(self, mean=ops.mean(ops.square(y_pred)), loss=contrast_loss)
    ```
    """
    if mean is None and loss is None:
        raise ValueError("total_loss needs mean or loss, got None for both.")
    replicas = backend.replica_count()
    means = [] if mean is None else [mean]
    terms = [ops.cast(ops.sum(term), "float32") / replicas for term in (*means, *model.losses)]
    if loss is not None:
        terms.append(ops.cast(loss, "float32"))
    return sum(terms[1:], terms[0])


def reported_loss(loss: Tensor) -> Tensor:
    """What a metric of your own shows of a loss: its value over the batch of all replicas, without gradient.

    Args:
        loss: scalar tensor that a `Loss` object returned, which is this replica's share.

    Returns:
        A scalar; on one replica the loss as it is.

    Example:

    ```python
    self.contrast_tracker.update_state(contrast.losses.reported_loss(contrast_loss))
    ```
    """
    return backend.mean_over_replicas(ops.stop_gradient(loss)) * backend.replica_count()
