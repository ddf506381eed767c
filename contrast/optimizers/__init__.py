"""Optimisers and schedules."""

from contrast.optimizers.lars import LARS
from contrast.optimizers.part import Part
from contrast.optimizers.partitioned import PartitionedOptimizer
from contrast.optimizers.schedules import WarmupCosine
from contrast.optimizers.sharpness_aware import SharpnessAware, sharpness_aware

__all__ = ["LARS", "Part", "PartitionedOptimizer", "SharpnessAware", "WarmupCosine", "sharpness_aware"]
