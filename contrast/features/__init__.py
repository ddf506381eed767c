"""Outputs of frozen encoders, computed once and kept on disk."""

from contrast.features.cache import cached_features, open_features

__all__ = ["cached_features", "open_features"]
