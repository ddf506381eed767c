"""Losses that own parameters: proxies or centers of classes."""

import sys
from typing import Any

import keras
import numpy as np
from keras import ops

from contrast.losses.base import REDUCTIONS, check_choice, reduce_gathered
from contrast.losses.inputs import as_views, integer_ids
from contrast.typing import Shape, Tensor


class ParametricLoss(keras.Layer):
    """Base of the losses with a trainable vector or more for each class, layers that the model owns.

    The model builds the layer and calls it in `compute_loss`:

    ```python
    self.head = contrast.losses.ArcFace(classes=5, dim=64)
    ...
    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        loss = self.head(y, y_pred, sample_weight, training=training)
        return contrast.losses.total_loss(self, loss=loss)
    ```

    Everything is computed in float32, whatever the policy. Vectors are scaled to unit length; a zero vector
    stays zero. They start with a length of about 1; a rate of their own, as many papers use, is given by
    `contrast.optimizers.PartitionedOptimizer`. A subclass implements `anchor_losses(ids, embeddings,
    training)` of `(anchors,)` ids and `(anchors, dim)` embeddings.

    Args:
        classes: number of classes; ids run from 0 to classes - 1.
        dim: width of the embeddings.
        reduction: see `ContrastiveLoss`.

    Call: `(ids, embeddings, sample_weight=None, training=None)` of int ids `(batch,)` and embeddings
        `(batch, views, dim)` returns a float32 scalar, or the losses themselves with `reduction="none"`. The
        loss of an id that is no class is NaN.

    Raises:
        ValueError: if classes is below 2 or dim below 1; when called: if the shapes do not fit, or an array
            of ids holds one that is no class.
        TypeError: when called: if ids are no integers, or the layer was given to `compile(loss=...)`.
    """

    def __init__(self, classes: int, dim: int, reduction: str | None = "mean", **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if classes < 2 or dim < 1:
            raise ValueError(f"classes must be at least 2 and dim at least 1, got {classes} and {dim}.")
        check_choice("reduction", reduction, REDUCTIONS)
        self.classes, self.dim, self.reduction = classes, dim, reduction

    def add_vectors(self, name: str, count: int) -> keras.Variable:
        """A trainable `(count, dim)`, each vector of length about 1; call it last in `__init__`."""
        vectors = self.add_weight(
            shape=(count, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5),
            dtype="float32",
            autocast=False,
            name=name,
        )
        self.built = True
        return vectors

    def __call__(
        self, ids: Tensor, embeddings: Tensor, sample_weight: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        if sys._getframe(1).f_globals.get("__name__", "").startswith("keras.src.losses"):
            raise TypeError(
                f"{self.name} is a layer, and a layer inside compile(loss=...) is never trained. Keep it as "
                "an attribute of the model, and call it in the model's compute_loss."
            )
        embeddings = as_views(embeddings)
        if embeddings.shape[-1] != self.dim:
            raise ValueError(
                f"embeddings must be (batch, views, {self.dim}), got shape {tuple(embeddings.shape)}."
            )
        if ids is None:
            raise ValueError(f"{self.name} needs the class of each sample, got None for ids.")
        if isinstance(ids, list | tuple | np.ndarray):
            known = np.asarray(ids)
            if known.dtype.kind in "iu" and known.size and not 0 <= known.min() <= known.max() < self.classes:
                raise ValueError(
                    f"ids must lie from 0 to {self.classes - 1}, got {known.min()} to {known.max()}."
                )
        ids = integer_ids(ids, embeddings.shape[0], "ids")
        return super().__call__(ids, embeddings, sample_weight=sample_weight, **kwargs)

    def call(
        self,
        ids: Tensor,
        embeddings: Tensor,
        sample_weight: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        views = embeddings.shape[1]
        flat = ops.reshape(embeddings, (-1, self.dim))
        losses = self.anchor_losses(ops.repeat(ids, views), flat, training)
        losses = ops.reshape(losses, (-1, views))
        return reduce_gathered(losses, ops.ones_like(losses), sample_weight, self.reduction)

    def is_class(self, ids: Tensor) -> Tensor:
        """Bool tensor `(anchors, classes)`, `True` at each anchor's class."""
        return ops.equal(ids[:, None], ops.arange(self.classes, dtype=ids.dtype)[None, :])

    def compute_output_shape(self, ids_shape: Shape, embeddings_shape: Shape | None = None) -> Shape:
        return () if self.reduction not in ("none", None) else (ids_shape[0],)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "classes": self.classes,
            "dim": self.dim,
            "reduction": self.reduction,
        }


def cross_entropy(logits: Tensor, target: Tensor, target_logits: Tensor) -> Tensor:
    """Softmax cross-entropy of each row, whose target takes another logit.

    Args:
        logits: float32 tensor `(rows, columns)`.
        target: bool tensor `(rows, columns)`, `True` once a row; the loss of a row without is NaN.
        target_logits: float32 tensor `(rows, 1)`, or of the shape of the logits.

    Returns:
        A float32 tensor `(rows,)`.
    """
    logits = ops.where(target, target_logits, logits)
    own = ops.sum(ops.where(target, logits, 0.0), axis=1)
    losses = ops.logsumexp(logits, axis=1) - own
    return ops.where(ops.any(target, axis=1), losses, float("nan"))
