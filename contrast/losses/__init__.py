"""Contrastive losses and losses of metric learning.

Losses over ids share one call, `loss(y_true, y_pred, sample_weight=None)`, with `y_pred` of shape
`(batch, views, dim)`; see `ContrastiveLoss`. Those over distances take miners; see `MetricLoss`. Losses with
parameters are layers with the same call; see `ParametricLoss`. Losses between sets and between tokens are
functions.
"""

from contrast.losses.arcface import ArcFace
from contrast.losses.base import ContrastiveLoss
from contrast.losses.circle import Circle
from contrast.losses.cosface import CosFace
from contrast.losses.cross_batch_memory import CrossBatchMemory
from contrast.losses.info_nce import InfoNCE
from contrast.losses.lifted_structure import LiftedStructure
from contrast.losses.metric_loss import MetricLoss
from contrast.losses.miners import HardestPairs, MultiSimilarityMiner
from contrast.losses.multi_similarity import MultiSimilarity
from contrast.losses.n_pairs import NPairs
from contrast.losses.nt_xent import NTXent
from contrast.losses.pair_contrastive import PairContrastive
from contrast.losses.parametric import ParametricLoss
from contrast.losses.pn import PN
from contrast.losses.proxy_anchor import ProxyAnchor
from contrast.losses.proxy_nca import ProxyNCA
from contrast.losses.sets import agreement_penalty, diagonal_cross_entropy, set_contrastive_loss
from contrast.losses.soft_nearest_neighbor import SoftNearestNeighbor
from contrast.losses.soft_target import SoftTargetContrastive
from contrast.losses.soft_triple import SoftTriple
from contrast.losses.supervised_contrastive import SupervisedContrastive
from contrast.losses.token_alignment import token_alignment_loss
from contrast.losses.total import total_loss
from contrast.losses.triplet_margin import TripletMargin

__all__ = [
    "PN",
    "ArcFace",
    "Circle",
    "ContrastiveLoss",
    "CosFace",
    "CrossBatchMemory",
    "HardestPairs",
    "InfoNCE",
    "LiftedStructure",
    "MetricLoss",
    "MultiSimilarity",
    "MultiSimilarityMiner",
    "NPairs",
    "NTXent",
    "PairContrastive",
    "ParametricLoss",
    "ProxyAnchor",
    "ProxyNCA",
    "SoftNearestNeighbor",
    "SoftTargetContrastive",
    "SoftTriple",
    "SupervisedContrastive",
    "TripletMargin",
    "agreement_penalty",
    "diagonal_cross_entropy",
    "set_contrastive_loss",
    "token_alignment_loss",
    "total_loss",
]
