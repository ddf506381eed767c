"""What is nearest in a bank of embeddings: exactly, or with an index where the bank is large."""

from contrast.retrieval.embedding_index import EmbeddingIndex, SearchResult
from contrast.retrieval.nearest_neighbor_score import NearestNeighborScore
from contrast.retrieval.nearest_neighbors import NearestNeighbors, Neighbors

__all__ = ["EmbeddingIndex", "NearestNeighborScore", "NearestNeighbors", "Neighbors", "SearchResult"]
