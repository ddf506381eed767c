"""Losses whose anchors are queries and whose candidates are keys."""

from typing import Any

import keras
from keras import ops

from contrast.losses.base import ContrastiveLoss
from contrast.losses.negatives import References
from contrast.ops import TILE_SIZE
from contrast.typing import Tensor, TileSize


class TwoSided(ContrastiveLoss):
    """Queries choose among keys and, if `symmetric`, keys among queries.

    A subclass implements `direction(rows, columns, targets, negatives, candidate_mask, references)`, the
    losses of all rows against all columns, and `mirrored(targets)` where the targets of the other direction
    differ.
    """

    def __init__(
        self,
        temperature: float | keras.Layer = 0.07,
        symmetric: bool = False,
        normalize: bool = True,
        no_positive: str = "skip",
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(temperature, normalize, no_positive, tile_size, reduction, name)
        self.symmetric = symmetric

    def call(
        self,
        targets: Tensor,
        y_pred: Tensor,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        if y_pred.shape[1] != 2:
            raise ValueError(
                f"{self.name} needs two views, queries and keys, got y_pred of shape {tuple(y_pred.shape)}."
            )
        queries, keys = self.scale(self.prepare(y_pred[:, 0])), self.prepare(y_pred[:, 1])
        losses, counts = self.direction(queries, keys, targets, negatives, candidate_mask, references)
        if not self.symmetric:
            return losses[:, None], counts[:, None]
        if candidate_mask is not None:
            candidate_mask = ops.transpose(candidate_mask[:, : ops.shape(candidate_mask)[0]])
        key_losses, key_counts = self.direction(keys, queries, self.mirrored(targets), None, candidate_mask)
        return ops.stack([losses, key_losses], axis=1), ops.stack([counts, key_counts], axis=1)

    def mirrored(self, targets: Tensor | None) -> Tensor | None:
        """What the targets of the queries are to the keys."""
        return targets

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "symmetric": self.symmetric}
