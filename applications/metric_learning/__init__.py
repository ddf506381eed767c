"""Embeddings in which what belongs together is near, also for classes never seen in training."""

from applications.metric_learning.corpus import HeldOutClasses, digits
from applications.metric_learning.methods import METHODS
from applications.metric_learning.reality_check import MetricModel

__all__ = ["METHODS", "HeldOutClasses", "MetricModel", "digits"]
