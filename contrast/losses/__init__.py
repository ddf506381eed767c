"""Contrastive losses, self-supervised losses and losses of metric learning.

All share one call, `loss(y_true, y_pred, sample_weight=None)`, with `y_pred` of shape `(batch, views, dim)`.
Losses over ids tell positives from negatives; see `ContrastiveLoss`. Those over distances take miners; see
`MetricLoss`. Losses with parameters are layers; see `ParametricLoss`. `BarlowTwins`, `VICReg`,
`NegativeCosine`, `SwappedPrediction` and `SelfDistillation` have no negatives. Losses between sets, tokens
and patches are functions.

Work of the losses over ids, in products of all rows with all columns for value and gradient: two where rows
are columns too (`NTXent`, `SupervisedContrastive`, `DecoupledContrastive`), as half of a symmetric matrix
tells all; four between queries and keys (`InfoNCE`, `SoftTargetContrastive`, `SigmoidContrastive`) and with a
queue's negatives. Twice that where each of several positives competes with the negatives alone
(`same_id="positive"` with ids, or `NTXent` of more than two views), and twice with `symmetric=True`.
"""

from contrast.losses.arcface import ArcFace
from contrast.losses.barlow_twins import BarlowTwins
from contrast.losses.base import ContrastiveLoss
from contrast.losses.circle import Circle
from contrast.losses.cosface import CosFace
from contrast.losses.cross_batch_memory import CrossBatchMemory
from contrast.losses.decoupled import DecoupledContrastive
from contrast.losses.info_nce import InfoNCE
from contrast.losses.lifted_structure import LiftedStructure
from contrast.losses.masked_patches import masked_patch_loss
from contrast.losses.metric_loss import MetricLoss
from contrast.losses.miners import HardestPairs, MultiSimilarityMiner
from contrast.losses.multi_similarity import MultiSimilarity
from contrast.losses.n_pairs import NPairs
from contrast.losses.negative_cosine import NegativeCosine
from contrast.losses.nt_xent import NTXent
from contrast.losses.pair_contrastive import PairContrastive
from contrast.losses.parametric import ParametricLoss
from contrast.losses.pn import PN
from contrast.losses.proxy_anchor import ProxyAnchor
from contrast.losses.proxy_nca import ProxyNCA
from contrast.losses.self_distillation import SelfDistillation
from contrast.losses.sets import agreement_penalty, diagonal_cross_entropy, set_contrastive_loss
from contrast.losses.sigmoid import SigmoidContrastive
from contrast.losses.soft_nearest_neighbor import SoftNearestNeighbor
from contrast.losses.soft_target import SoftTargetContrastive
from contrast.losses.soft_triple import SoftTriple
from contrast.losses.supervised_contrastive import SupervisedContrastive
from contrast.losses.swapped_prediction import SwappedPrediction
from contrast.losses.token_alignment import token_alignment_loss
from contrast.losses.total import reported_loss, total_loss
from contrast.losses.triplet_margin import TripletMargin
from contrast.losses.vicreg import VICReg

__all__ = [
    "PN",
    "ArcFace",
    "BarlowTwins",
    "Circle",
    "ContrastiveLoss",
    "CosFace",
    "CrossBatchMemory",
    "DecoupledContrastive",
    "HardestPairs",
    "InfoNCE",
    "LiftedStructure",
    "MetricLoss",
    "MultiSimilarity",
    "MultiSimilarityMiner",
    "NPairs",
    "NTXent",
    "NegativeCosine",
    "PairContrastive",
    "ParametricLoss",
    "ProxyAnchor",
    "ProxyNCA",
    "SelfDistillation",
    "SigmoidContrastive",
    "SoftNearestNeighbor",
    "SoftTargetContrastive",
    "SoftTriple",
    "SupervisedContrastive",
    "SwappedPrediction",
    "TripletMargin",
    "VICReg",
    "agreement_penalty",
    "diagonal_cross_entropy",
    "masked_patch_loss",
    "reported_loss",
    "set_contrastive_loss",
    "token_alignment_loss",
    "total_loss",
]
