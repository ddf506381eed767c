"""Outputs of frozen encoders, computed once and kept on disk."""

from contrast.features.cache import cached_features, open_features
from contrast.features.encoding import predict_rows

__all__ = ["cached_features", "open_features", "predict_rows"]
