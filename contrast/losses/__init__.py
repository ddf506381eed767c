"""Contrastive and self-supervised losses.

All share one call, `loss(y_true, y_pred, sample_weight=None)`, with `y_pred` of shape `(batch, views, dim)`.
Losses over ids tell positives from negatives; see `ContrastiveLoss`. `BarlowTwins`, `VICReg`,
`NegativeCosine`, `SwappedPrediction` and `SelfDistillation` have no negatives. Losses between sets, tokens
and patches are functions.
"""

from contrast.losses.barlow_twins import BarlowTwins
from contrast.losses.base import ContrastiveLoss
from contrast.losses.decoupled import DecoupledContrastive
from contrast.losses.info_nce import InfoNCE
from contrast.losses.masked_patches import masked_patch_loss
from contrast.losses.negative_cosine import NegativeCosine
from contrast.losses.nt_xent import NTXent
from contrast.losses.self_distillation import SelfDistillation
from contrast.losses.sets import agreement_penalty, diagonal_cross_entropy, set_contrastive_loss
from contrast.losses.sigmoid import SigmoidContrastive
from contrast.losses.soft_target import SoftTargetContrastive
from contrast.losses.supervised_contrastive import SupervisedContrastive
from contrast.losses.swapped_prediction import SwappedPrediction
from contrast.losses.token_alignment import token_alignment_loss
from contrast.losses.total import total_loss
from contrast.losses.vicreg import VICReg

__all__ = [
    "BarlowTwins",
    "ContrastiveLoss",
    "DecoupledContrastive",
    "InfoNCE",
    "NTXent",
    "NegativeCosine",
    "SelfDistillation",
    "SigmoidContrastive",
    "SoftTargetContrastive",
    "SupervisedContrastive",
    "SwappedPrediction",
    "VICReg",
    "agreement_penalty",
    "diagonal_cross_entropy",
    "masked_patch_loss",
    "set_contrastive_loss",
    "token_alignment_loss",
    "total_loss",
]
