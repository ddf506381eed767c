"""Layers for contrastive models."""

from contrast.layers.fold_views import FoldViews
from contrast.layers.projection_head import ProjectionHead
from contrast.layers.temperature import Temperature

__all__ = ["FoldViews", "ProjectionHead", "Temperature"]
