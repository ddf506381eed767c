"""What watches a `fit` and keeps it."""

from contrast.callbacks.checkpoint import TrainingCheckpoint
from contrast.callbacks.collapse_monitor import CollapseMonitor
from contrast.callbacks.evaluate_embeddings import (
    EvaluateEmbeddings,
    KNNProbe,
    LinearProbe,
    RetrievalEvaluation,
)

__all__ = [
    "CollapseMonitor",
    "EvaluateEmbeddings",
    "KNNProbe",
    "LinearProbe",
    "RetrievalEvaluation",
    "TrainingCheckpoint",
]
