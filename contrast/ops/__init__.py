"""Pure functions of tensors."""

from contrast.ops.distances import DISTANCES, paired_distances, pairwise_distances
from contrast.ops.pairs import Pairs
from contrast.ops.pairwise_sigmoid import pairwise_sigmoid
from contrast.ops.row_statistics import RowStatistics, count_positives, positive_competition, row_statistics
from contrast.ops.row_tiles import map_row_tiles, masked_log_sum_exp
from contrast.ops.similarity import l2_normalize, max_mean_similarity
from contrast.ops.sinkhorn import sinkhorn
from contrast.ops.soft_aggregation import soft_aggregation_weights
from contrast.ops.tiled import TILE_SIZE
from contrast.ops.triplets import TRIPLETS, TripletSums, triplet_sums

__all__ = [
    "DISTANCES",
    "TILE_SIZE",
    "TRIPLETS",
    "Pairs",
    "RowStatistics",
    "TripletSums",
    "count_positives",
    "l2_normalize",
    "map_row_tiles",
    "masked_log_sum_exp",
    "max_mean_similarity",
    "paired_distances",
    "pairwise_distances",
    "pairwise_sigmoid",
    "positive_competition",
    "row_statistics",
    "sinkhorn",
    "soft_aggregation_weights",
    "triplet_sums",
]
