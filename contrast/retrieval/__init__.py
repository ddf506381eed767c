"""What is nearest in a bank of embeddings: exactly, or with an index where the bank is large."""

from contrast.retrieval.calibration import Calibration, calibrate
from contrast.retrieval.embedding_index import EmbeddingIndex, SearchResult
from contrast.retrieval.index_from import index_from
from contrast.retrieval.labelled_distances import nearest_distances, pair_distances
from contrast.retrieval.nearest_neighbor_score import NearestNeighborScore
from contrast.retrieval.nearest_neighbors import NearestNeighbors, Neighbors

__all__ = [
    "Calibration",
    "EmbeddingIndex",
    "NearestNeighborScore",
    "NearestNeighbors",
    "Neighbors",
    "SearchResult",
    "calibrate",
    "index_from",
    "nearest_distances",
    "pair_distances",
]
