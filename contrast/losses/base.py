"""What the losses over ids have in common."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from contrast import backend
from contrast.losses.inputs import as_views, integer_ids
from contrast.losses.negatives import References
from contrast.ops import (
    TILE_SIZE,
    Pairs,
    count_positives,
    l2_normalize,
    positive_competition,
    row_statistics,
)
from contrast.ops.shapes import agree
from contrast.typing import Tensor, TileSize

REDUCTIONS = ("mean", "mean_with_sample_weight", "sum_over_batch_size", "sum", "none", None)
SAME_ID = ("positive", "ignore", "shared")
NO_POSITIVE = ("skip", "zero", "drop")


class ContrastiveLoss(keras.losses.Loss):
    """Base of the losses that tell positives from negatives by integer ids.

    A subclass implements `call(ids, y_pred, negatives, candidate_mask)`, which returns the loss of each
    anchor and what the anchor counts in a mean, such as whether it has a positive; both `(batch, anchors)`.
    Where `no_positive` is `"zero"` all anchors count alike, and the second is not read.

    Args:
        temperature: positive float that divides the similarities, or a `contrast.layers.Temperature` that the
            model owns (only for a loss that the model's `compute_loss` builds, never in `compile`).
        normalize: scale embeddings to unit length, so that similarities are cosines.
        no_positive: what becomes of an anchor without a positive: `"skip"`, it leaves the mean; `"zero"`, it
            counts as zero; `"drop"`, it leaves the candidates of the other anchors too.
        tile_size: rows of the similarity matrix held at once, `"auto"` for what suits the device, or
            `None` for all.
        reduction: `"mean"`: over the anchors that count, weighted by `sample_weight`;
            `"sum_over_batch_size"`: the weighted sum over their number; `"sum"`; or `"none"`: the weighted
            loss of each anchor, `(batch,)` where a sample has one anchor, else `(batch, anchors)`.
        name: name of the loss.

    Raises:
        ValueError: if an argument is outside what is listed here.
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.1,
        normalize: bool = True,
        no_positive: str = "skip",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction="none")
        self._dtype = "float32"
        if isinstance(temperature, int | float) and not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        if tile_size not in (None, "auto") and (not isinstance(tile_size, int) or tile_size < 1):
            raise ValueError(f'tile_size must be a positive int, "auto" or None, got {tile_size!r}.')
        check_choice("reduction", reduction, REDUCTIONS)
        check_choice("no_positive", no_positive, NO_POSITIVE)
        self.temperature = temperature
        self.normalize = normalize
        self.no_positive = no_positive
        self.tile_size = tile_size
        self.reduction = reduction

    def __call__(
        self,
        y_true: Tensor | None,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        *,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        references: tuple[Tensor, Tensor, Tensor | None] | None = None,
        gathered: bool = False,
        **masks: Any,
    ) -> Tensor:
        """Computes the loss.

        On several replicas (`contrast.distribution`) it is the loss of the global batch: samples, ids,
        weights and each sample's own negatives are gathered from all, with their gradients. Shared negatives
        and references, as from a queue, are taken to be equal on all.

        Args:
            y_true: int tensor `(batch,)` of ids, or `None`: every sample is its own id.
            y_pred: float tensor `(batch, views, dim)`, or a pair of tensors `(batch, dim)`.
            sample_weight: float tensor `(batch,)`, or `None`.
            negatives: further candidates without an id: `(n, dim)` for all anchors, as from a queue, or
                `(batch, n, dim)` for each sample's own.
            candidate_mask: bool tensor `(batch, batch)`, or `(batch, batch + n)` with `n` shared negatives:
                `False` at row i, column j leaves sample j out of what sample i's anchors see.
            references: further candidates with an id, as `contrast.layers.MemoryQueue.read` returns them:
                embeddings `(n, dim)`, integer ids `(n,)` and which are valid, bool `(n,)` or `None`.
            gathered: everything given is of the global batch already, as `contrast.distribution.gather` makes
                it: the only way to give masks or targets of pairs on several replicas.
            **masks: what the subclass's `call` knows beside these.

        Returns:
            A float32 scalar, or with `reduction="none"` the losses of this replica's samples themselves.

        Raises:
            ValueError: if shapes do not fit together, the batch is empty, or pairs of one replica's samples
                alone are given on several.
            TypeError: if ids are no integers, or `compile` was given a loss that holds a layer.
        """
        held = self._held_layer()
        if held is not None and _called_from_compile():
            raise TypeError(
                f"{self.name} holds the layer {held.name!r}, and a layer inside "
                "compile(loss=...) is never trained. Keep the layer as an attribute of the model, and build "
                "the loss from it in the model's compute_loss."
            )
        with keras.name_scope(self.name):
            y_pred = own = as_views(y_pred)
            if negatives is not None:
                negatives = ops.convert_to_tensor(negatives)
            if backend.replica_count() > 1 and not gathered:
                self._check_no_pairs(y_true, candidate_mask, masks)
                y_pred, y_true, sample_weight = map(backend.gather, (y_pred, y_true, sample_weight))
                if negatives is not None and len(negatives.shape) == 3:
                    negatives = backend.gather(negatives)
            y_true = self.check_targets(y_true, y_pred)
            if negatives is not None:
                negatives = self._negatives(negatives, y_pred)
            if candidate_mask is not None:
                candidate_mask = self._candidate_mask(candidate_mask, y_pred, negatives)
            if references is not None:
                masks["references"] = self._references(references, y_true, y_pred)
            losses, counts = self.call(y_true, y_pred, negatives, candidate_mask, **masks)
            counts = ops.ones_like(losses) if self.no_positive == "zero" else ops.cast(counts, "float32")
            reduced = reduce_losses(losses, counts, sample_weight, self.reduction)
            return reduced if gathered or len(reduced.shape) == 0 else backend.own_rows(reduced, own)

    def check_targets(self, y_true: Tensor | None, y_pred: Tensor) -> Tensor | None:
        """`y_true` as int tensor `(batch,)` or `None`; a subclass with other targets overrides this."""
        return integer_ids(y_true, y_pred.shape[0])

    def anchor_losses(
        self,
        rows: Tensor,
        columns: Tensor | None,
        pairs: Pairs,
        row_negatives: Tensor | None = None,
        *,
        form: str = "out",
        separate: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The loss of each row of logits.

        Args:
            rows: float32 tensor `(rows, dim)`, temperature included.
            columns: float32 tensor `(columns, dim)`, or `None` for the rows themselves.
            pairs: a `contrast.ops.Pairs`.
            row_negatives: float32 tensor `(rows, n)`: logits of further candidates of each row, or `None`.
            form: `"out"`: mean over positives of the log; `"in"`: log of the mean over positives.
            separate: each positive competes with the negatives alone, not with the other positives.

        Returns:
            Losses `(rows,)`, 0 for rows without a positive, and bool `(rows,)`, which rows have one.
        """
        options = {"tile_size": self.tile_size}
        pairs = self.without_lonely_columns(pairs, rows, columns)
        statistics = row_statistics(
            rows,
            columns,
            replace(pairs, negatives_only=separate),
            log_positives=form == "in" and not separate,
            **options,
        )
        log_candidates, positives, weight = statistics
        if row_negatives is not None:
            log_candidates = ops.logaddexp(log_candidates, ops.logsumexp(row_negatives, axis=1))
        counts = ops.greater(weight, 0)
        weight = ops.where(counts, weight, ops.ones_like(weight))
        if separate:
            losses = positive_competition(rows, columns, log_candidates, pairs, **options) / weight
        elif form == "in":
            losses = log_candidates - positives + ops.log(weight)
        else:
            losses = log_candidates - positives / weight
        return ops.where(counts, losses, ops.zeros_like(losses)), counts

    def scale(self, embeddings: Tensor, power: float = 1.0) -> Tensor:
        """Multiplies embeddings by (1 / temperature) ** power."""
        temperature = self.temperature
        if isinstance(temperature, keras.Layer):
            temperature = temperature.value
        return embeddings * ops.power(1.0 / ops.cast(temperature, "float32"), power)

    def prepare(self, embeddings: Tensor) -> Tensor:
        """Embeddings as they enter the dot product, temperature not included."""
        return l2_normalize(embeddings) if self.normalize else embeddings

    def get_config(self) -> dict[str, Any]:
        held = self._held_layer()
        if held is not None:
            raise TypeError(
                f"{self.name} is built around the layer {held.name!r}, which the model owns and "
                "saves: it has no config of its own."
            )
        return {
            "temperature": float(self.temperature),
            "normalize": self.normalize,
            "no_positive": self.no_positive,
            "tile_size": self.tile_size,
            "reduction": self.reduction,
            "name": self.name,
        }

    def _check_no_pairs(self, y_true, candidate_mask, masks):
        """ValueError if something speaks of pairs, of which a replica knows its own samples' only."""
        given = [
            name for name, mask in {"candidate_mask": candidate_mask, **masks}.items() if mask is not None
        ]
        shape = () if y_true is None else tuple(ops.convert_to_tensor(y_true).shape)
        if len(shape) == 2 and shape[1] != 1:  # a column holds one id a sample
            given.append("y_true (batch, batch)")
        if given:
            raise ValueError(
                f"{self.name} cannot read {', '.join(given)} of one replica's samples on several replicas; "
                "gather embeddings and ids with contrast.distribution.gather, make pairs of the global "
                "batch, and call the loss with gathered=True."
            )

    def _negatives(self, negatives, y_pred):
        negatives = ops.cast(negatives, "float32")
        batch, dim = y_pred.shape[0], y_pred.shape[-1]
        if not (agree(negatives.shape, (None, dim)) or agree(negatives.shape, (batch, None, dim))):
            raise ValueError(
                f"negatives must be (n, {dim}) or ({batch}, n, {dim}), got shape {tuple(negatives.shape)}."
            )
        return self.prepare(negatives)

    def _candidate_mask(self, mask, y_pred, negatives):
        """The mask as bools, `True` for the shared negatives of which it says nothing."""
        mask = ops.cast(mask, "bool")
        batch = y_pred.shape[0]
        widths = [batch]
        if negatives is not None and len(negatives.shape) == 2:
            widths.append(None if None in (batch, negatives.shape[0]) else batch + negatives.shape[0])
        if not any(agree(mask.shape, (batch, width)) for width in widths):
            raise ValueError(
                f"candidate_mask must be (batch, batch), or (batch, batch + n) with n shared negatives, got "
                f"shape {tuple(mask.shape)} for a batch of {batch}."
            )
        if len(widths) == 1:
            return mask
        rows = ops.shape(mask)[0]
        missing = rows + ops.shape(negatives)[0] - ops.shape(mask)[1]
        return ops.concatenate([mask, ops.ones((rows, missing), "bool")], axis=1)

    def _references(self, references, y_true, y_pred):
        embeddings, ids, valid = references
        embeddings = ops.cast(ops.convert_to_tensor(embeddings), "float32")
        if y_true is None:
            raise ValueError("y_true must hold the ids of the samples where references have ids, got None.")
        if not agree(embeddings.shape, (None, y_pred.shape[-1])):
            raise ValueError(
                f"references must be (n, {y_pred.shape[-1]}), got shape {tuple(embeddings.shape)}."
            )
        ids = ops.cast(integer_ids(ids, embeddings.shape[0], "the ids of references"), y_true.dtype)
        valid = ops.ones_like(ids, "bool") if valid is None else ops.cast(valid, "bool")
        return References(self.prepare(embeddings), ids, valid)

    def without_lonely_columns(self, pairs: Pairs, rows: Tensor, columns: Tensor | None) -> Pairs:
        """With `no_positive="drop"`, the pairs without the samples that have no positive."""
        if self.no_positive != "drop":
            return pairs
        count, total = ops.shape(rows)[0], ops.shape(rows if columns is None else columns)[0]
        keep = ops.greater(count_positives(pairs, count, total, tile_size=self.tile_size), 0)
        keep = ops.concatenate([keep, ops.ones((total - count,), "bool")])
        mask = pairs.candidate_mask
        if mask is not None:
            keep = ops.logical_and(mask, keep if len(mask.shape) == 1 else keep[None, :])
        return replace(pairs, candidate_mask=keep)

    def _held_layer(self):
        return next((value for value in vars(self).values() if isinstance(value, keras.Layer)), None)


def reduce_gathered(
    losses: Tensor, counts: Tensor, sample_weight: Tensor | None, reduction: str | None
) -> Tensor:
    """`reduce_losses` of the samples of all replicas, or of this one's with `reduction="none"`."""
    if reduction not in ("none", None):
        losses, counts, sample_weight = map(backend.gather, (losses, counts, sample_weight))
    return reduce_losses(losses, counts, sample_weight, reduction)


def reduce_losses(
    losses: Tensor, counts: Tensor, sample_weight: Tensor | None, reduction: str | None
) -> Tensor:
    """Losses `(batch, anchors)` reduced as `ContrastiveLoss` says; `counts`: the weight of each in a mean.

    Every replica reduces the losses of the global batch, so that a sum is divided by the replicas, too.
    """
    weights = counts
    if sample_weight is not None:
        weights = counts * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
    losses = losses * weights
    if reduction in ("none", None):
        return losses[:, 0] if losses.shape[1] == 1 else losses
    total = ops.sum(losses)
    if reduction == "sum":
        return total / backend.replica_count()
    norm = ops.sum(counts if reduction == "sum_over_batch_size" else weights)
    return ops.divide_no_nan(total, norm) / backend.replica_count()


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")


def _called_from_compile():
    """Whether the loss is being called by what `compile(loss=...)` made of it."""
    caller = sys._getframe(2)
    return caller.f_globals.get("__name__", "").endswith("trainers.compile_utils")
