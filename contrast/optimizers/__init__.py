"""Optimisers and schedules."""

from contrast.optimizers.lars import LARS
from contrast.optimizers.part import Part
from contrast.optimizers.partitioned import PartitionedOptimizer
from contrast.optimizers.schedules import WarmupCosine

__all__ = ["LARS", "Part", "PartitionedOptimizer", "WarmupCosine"]
