"""What watches a `fit` and keeps it."""

from contrast.callbacks.checkpoint import TrainingCheckpoint
from contrast.callbacks.collapse_monitor import CollapseMonitor

__all__ = ["CollapseMonitor", "TrainingCheckpoint"]
