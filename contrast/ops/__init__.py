"""Pure functions of tensors."""

from contrast.ops.pairs import Pairs
from contrast.ops.pairwise_sigmoid import pairwise_sigmoid
from contrast.ops.similarity import l2_normalize, max_mean_similarity
from contrast.ops.sinkhorn import sinkhorn
from contrast.ops.soft_aggregation import soft_aggregation_weights
from contrast.ops.tiled import TILE_SIZE, RowStatistics, count_positives, positive_competition, row_statistics

__all__ = [
    "TILE_SIZE",
    "Pairs",
    "RowStatistics",
    "count_positives",
    "l2_normalize",
    "max_mean_similarity",
    "pairwise_sigmoid",
    "positive_competition",
    "row_statistics",
    "sinkhorn",
    "soft_aggregation_weights",
]
