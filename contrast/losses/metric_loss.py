"""Losses over distances between samples of equal and of different id."""

from typing import Any, Self

import keras
from keras import ops

from contrast.losses.base import check_choice
from contrast.losses.miners import Miner
from contrast.losses.negatives import References
from contrast.losses.one_sided import OneSided
from contrast.ops import DISTANCES, TILE_SIZE, Pairs, map_row_tiles, pairwise_distances
from contrast.typing import Tensor, TileSize


class MetricLoss(OneSided):
    """Base of the losses over pairs and triplets: every view is an anchor, those of its id are its positives.

    A subclass implements `row_terms(distances, positives, negatives)`, which returns tensors `(rows,)` of
    some rows of the matrix of pairs, and `losses_and_counts(*terms)`, which makes of them the loss of each
    anchor and for how many terms it stands; anchors weigh by that number in the mean. An anchor without the
    pairs that the loss needs stands for none. The matrix is visited in tiles of rows.

    Args:
        distance: `"euclidean"`, `"squared_euclidean"` or `"cosine"`, which is 1 minus the cosine.
        normalize: scale embeddings to unit length; a zero vector stays zero.
        miner: which pairs count: an object of `contrast.losses.miners`; `None`: all.
        tile_size, reduction, name: see `ContrastiveLoss`.

    Raises:
        ValueError: if an argument is outside what is listed here; when called: if nothing can have a
            positive, because there is one view and no id, or negatives are given for each sample.
    """

    def __init__(
        self,
        distance: str = "euclidean",
        normalize: bool = True,
        miner: Miner | None = None,
        tile_size: TileSize = TILE_SIZE,
        reduction: str | None = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(1.0, normalize, "skip", tile_size, reduction, name)
        check_choice("distance", distance, DISTANCES)
        if distance == "cosine" and not normalize:
            raise ValueError("distance 'cosine' is between unit vectors: normalize must be True, got False.")
        if miner is not None and not callable(miner):
            raise ValueError(f"miner must be an object of contrast.losses.miners or None, got {miner!r}.")
        self.distance, self.miner = distance, miner

    def call(
        self,
        ids: Tensor | None,
        y_pred: Tensor,
        negatives: Tensor | None = None,
        candidate_mask: Tensor | None = None,
        references: References | None = None,
    ) -> tuple[Tensor, Tensor]:
        if negatives is not None and len(negatives.shape) == 3:
            raise ValueError(f"{self.name} takes negatives (n, dim), got shape {tuple(negatives.shape)}.")
        return self.view_losses(ids, y_pred, negatives, candidate_mask, references=references)

    def anchor_losses(
        self, rows: Tensor, columns: Tensor | None, pairs: Pairs, row_negatives: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        def terms_of_rows(some, columns, positives, negatives):
            distances = pairwise_distances(some, columns, self.distance)
            if self.miner is not None:
                positives, negatives = self.miner(ops.stop_gradient(distances), positives, negatives)
            return self.row_terms(distances, positives, negatives)

        terms = map_row_tiles(terms_of_rows, rows, columns, pairs, tile_size=self.tile_size)
        return self.losses_and_counts(*(terms[:, index] for index in range(terms.shape[1])))

    def scale(self, embeddings: Tensor, power: float = 1.0) -> Tensor:
        """The embeddings as they are: distances have no common temperature."""
        return embeddings

    def losses_and_counts(self, losses: Any, counts: Any) -> tuple[Tensor, Tensor]:
        """Makes the losses and counts `(rows,)` of what `row_terms` returned; as they are by default."""
        return losses, counts

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["temperature"], config["no_positive"]
        miner = None if self.miner is None else keras.saving.serialize_keras_object(self.miner)
        return {**config, "distance": self.distance, "miner": miner}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if isinstance(config.get("miner"), dict):
            config = {**config, "miner": keras.saving.deserialize_keras_object(config["miner"])}
        return cls(**config)


def any_of(mask: Tensor) -> Tensor:
    """Whether any entry of each row is true, as float32."""
    return ops.cast(ops.any(mask, axis=1), "float32")


def count_of(mask: Tensor) -> Tensor:
    """How many entries of each row are true, as float32."""
    return ops.sum(ops.cast(mask, "float32"), axis=1)
