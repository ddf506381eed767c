"""What the losses have in common whose samples do not see each other."""

from typing import Any

import keras
from keras import ops

from contrast.losses.base import REDUCTIONS, check_choice, reduce_gathered
from contrast.losses.inputs import as_views
from contrast.ops.shapes import agree
from contrast.typing import Tensor


class PerSampleLoss(keras.losses.Loss):
    """Base of the losses that compare the views of each sample with one another only.

    A subclass implements `call(y_true, y_pred, **further)`, which returns the loss of each sample,
    `(batch,)`.

    Args:
        reduction: see `ContrastiveLoss`.
        name: name of the loss.
    """

    def __init__(self, reduction: str | None = "mean", name: str | None = None) -> None:
        super().__init__(name=name, reduction="none")
        self._dtype = "float32"
        check_choice("reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Tensor | None = None, **further: Any
    ) -> Tensor:
        """Computes the loss.

        Args:
            y_true: what the subclass's `call` compares with, or `None`.
            y_pred: float tensor `(batch, views, dim)`, or a pair of tensors `(batch, dim)`.
            sample_weight: float tensor `(batch,)`, or `None`.
            **further: what the subclass's `call` knows beside these.

        Returns:
            A float32 scalar, or the losses `(batch,)` with `reduction="none"`.

        Raises:
            ValueError: if shapes do not fit together or the batch is empty.
        """
        with keras.name_scope(self.name):
            losses = self.call(y_true, as_views(y_pred), **further)[:, None]
            return reduce_gathered(losses, ops.ones_like(losses), sample_weight, self.reduction)

    def get_config(self) -> dict[str, Any]:
        return {"reduction": self.reduction, "name": self.name}


def swapped_cross_entropy(targets: Tensor, log_probabilities: Tensor) -> Tensor:
    r"""Cross-entropy of each view against the targets of every other view, averaged over these pairs.

    $$-\frac{1}{T (V - 1)} \sum_{t \le T} \sum_{v \ne t} \sum_k q_{tk} \log p_{vk}$$

    Args:
        targets: float32 tensor `(batch, T, classes)` of the first T views.
        log_probabilities: float32 tensor `(batch, V, classes)` of all views.

    Returns:
        A float32 tensor `(batch,)`.
    """
    T, V = targets.shape[1], log_probabilities.shape[1]
    products = ops.einsum("btk,bvk->btv", targets, log_probabilities)
    other_view = 1.0 - ops.eye(T, V, dtype="float32")
    return -ops.sum(products * other_view, axis=(1, 2)) / (T * (V - 1))


def check_target_views(name: str, loss_name: str, targets: Any, views: Any) -> Tensor:
    """`targets` as float32 tensor; ValueError unless its views are the first ones of `views`, two or more."""
    if targets is None:
        raise ValueError(f"{loss_name} needs {name} as y_true, got None.")
    targets = ops.cast(ops.convert_to_tensor(targets), "float32")
    shape, full = tuple(targets.shape), tuple(views.shape)
    fits = agree(shape, (full[0], None, full[2])) and 1 <= shape[1] <= full[1]
    if not fits or full[1] < 2:
        raise ValueError(
            f"{loss_name} needs y_pred (batch, views, dim) of at least two views and {name} (batch, first "
            f"views, dim) of as many views or fewer, got shapes {full} and {shape}."
        )
    return targets
