from typing import Any

import keras
from keras import ops

from contrast import backend
from contrast.decoding.targets import integer_ids
from contrast.typing import Tensor


def label_smoothed_cross_entropy(
    targets: Tensor, logits: Tensor, smoothing: float = 0.0, padding_id: int = 0
) -> Tensor:
    r"""Cross-entropy of each token against its target, softened; 0 where the target is padding.

    With a vocabulary of $V$, smoothing $\varepsilon$, $p = \mathrm{softmax}(z)$, a token with target $y$ has
    $$\ell = -(1 - \varepsilon) \log p_y - \frac{\varepsilon}{V} \sum_v \log p_v.$$

    Args:
        targets: integers `(batch, length)`, each below `V` or equal to `padding_id`.
        logits: float tensor `(batch, length, V)`.
        smoothing: from 0 to below 1.
        padding_id: targets with this id do not count. It may lie outside the vocabulary, as -100 does.

    Returns:
        float32 tensor `(batch, length)`.

    Raises:
        ValueError: if `smoothing` is out of range, or the shapes do not fit together.

    Example:

    >>> targets, logits = np.array([[3, 1, 0]]), np.zeros((1, 3, 4), "float32")
    >>> print(keras.ops.convert_to_numpy(
    ...     contrast.decoding.label_smoothed_cross_entropy(targets, logits, smoothing=0.1)).round(4))
    [[1.3863 1.3863 0.    ]]

    Reference: [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567), section 7.
    """
    _check_smoothing(smoothing)
    targets = integer_ids("targets", targets)
    logits = ops.cast(ops.convert_to_tensor(logits), "float32")
    if len(logits.shape) != 3 or any(
        None not in (ours, theirs) and ours != theirs
        for ours, theirs in zip(targets.shape, logits.shape[:2], strict=False)
    ):
        raise ValueError(
            f"logits must be (batch, length, vocabulary) with targets {tuple(targets.shape)}, got shape "
            f"{tuple(logits.shape)}."
        )
    real = ops.not_equal(targets, padding_id)
    chosen = ops.where(real, targets, ops.zeros_like(targets))
    losses = ops.logsumexp(logits, axis=-1)
    losses = losses - (1 - smoothing) * ops.take_along_axis(logits, chosen[..., None], axis=-1)[..., 0]
    if smoothing:
        losses = losses - smoothing * ops.mean(logits, axis=-1)
    return ops.where(real, losses, ops.zeros_like(losses))


@keras.saving.register_keras_serializable(package="contrast")
class SequenceCrossEntropy(keras.losses.Loss):
    """The mean of `label_smoothed_cross_entropy` over the real tokens of the whole batch.

    Long texts weigh more than short ones, as each token counts the same. Keras's own losses divide by all
    places, padding included. A batch of padding only has loss 0. On several replicas the tokens are those of
    the global batch.

    Args:
        label_smoothing: from 0 to below 1.
        padding_id: targets with this id do not count.
        name: name of the loss.

    Inputs: `y_true` `(batch, length)` integers, `y_pred` `(batch, length, vocabulary)` logits,
    `sample_weight` `(batch,)` or `(batch, length)`: the mean is weighted by it.

    Raises:
        ValueError: if `label_smoothing` is out of range, or the shapes do not fit together.

    Example:

    >>> loss = contrast.decoding.SequenceCrossEntropy(label_smoothing=0.1)
    >>> round(float(loss(np.array([[3, 1, 0]]), np.zeros((1, 3, 4), "float32"))), 4)
    1.3863

    Reference: [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 5.4.
    """

    def __init__(
        self, label_smoothing: float = 0.0, padding_id: int = 0, name: str = "sequence_cross_entropy"
    ) -> None:
        super().__init__(name=name, reduction="none")
        _check_smoothing(label_smoothing)
        self.label_smoothing, self.padding_id = label_smoothing, padding_id

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        with keras.name_scope(self.name):
            losses = self.call(y_true, y_pred)
            weights = ops.cast(ops.not_equal(integer_ids("y_true", y_true), self.padding_id), "float32")
            if sample_weight is not None:
                sample_weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
                if len(sample_weight.shape) == 1:
                    sample_weight = sample_weight[:, None]
                weights = weights * sample_weight
            count = backend.mean_over_replicas(ops.sum(weights))
            return ops.divide_no_nan(ops.sum(losses * weights), count) / backend.replica_count()

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return label_smoothed_cross_entropy(y_true, y_pred, self.label_smoothing, self.padding_id)

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "padding_id": self.padding_id, "name": self.name}


def _check_smoothing(smoothing):
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing must be from 0 to below 1, got {smoothing}.")
