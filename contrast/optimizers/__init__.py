"""Optimisers and schedules."""

from contrast.optimizers.lars import LARS
from contrast.optimizers.schedules import WarmupCosine

__all__ = ["LARS", "WarmupCosine"]
