"""Contrastive losses.

Losses over ids share one call, `loss(y_true, y_pred, sample_weight=None)`, with `y_pred` of shape
`(batch, views, dim)`; see `ContrastiveLoss`. Losses between sets and between tokens are functions.
"""

from contrast.losses.base import ContrastiveLoss
from contrast.losses.info_nce import InfoNCE
from contrast.losses.nt_xent import NTXent
from contrast.losses.sets import agreement_penalty, diagonal_cross_entropy, set_contrastive_loss
from contrast.losses.soft_target import SoftTargetContrastive
from contrast.losses.supervised_contrastive import SupervisedContrastive
from contrast.losses.token_alignment import token_alignment_loss
from contrast.losses.total import total_loss

__all__ = [
    "ContrastiveLoss",
    "InfoNCE",
    "NTXent",
    "SoftTargetContrastive",
    "SupervisedContrastive",
    "agreement_penalty",
    "diagonal_cross_entropy",
    "set_contrastive_loss",
    "token_alignment_loss",
    "total_loss",
]
