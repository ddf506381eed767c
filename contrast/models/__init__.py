"""Training schemes around any encoder, trained with `fit`.

| scheme | what holds embeddings apart | what else it keeps |
| --- | --- | --- |
| `SimCLR`, `DecoupledSimCLR` | the other samples of the batch | |
| `SupCon` | the samples of other classes | labels |
| `MoCoV2` | a queue of earlier keys | a teacher |
| `MoCoV3` | the other samples of the batch | a teacher, a predictor |
| `NNCLR` | the other samples of the batch | a queue of possible positives, a predictor |
| `BYOL` | the teacher's lag, the predictor | a teacher, a predictor |
| `SimSiam` | the stop-gradient, the predictor | a predictor |
| `BarlowTwins`, `VICReg` | the statistics of the batch | |
| `SwAV` | an even spread over prototypes | prototypes, a queue |
| `DINO` | centring and sharpening | a teacher, prototypes, a centre |
| `MaskedAutoencoder` | the pixels that are hidden | a decoder |
| `DualEncoder` | the other pairs of the batch | a second encoder, a temperature |

Losses of the same names stand in `contrast.losses`.
"""

from contrast.models.barlow_twins import BarlowTwins
from contrast.models.base import Scheme
from contrast.models.byol import BYOL
from contrast.models.decoupled_simclr import DecoupledSimCLR
from contrast.models.dino import DINO
from contrast.models.dual_encoder import DualEncoder
from contrast.models.masked_autoencoder import MaskedAutoencoder
from contrast.models.moco_v2 import MoCoV2
from contrast.models.moco_v3 import MoCoV3
from contrast.models.nnclr import NNCLR
from contrast.models.simclr import SimCLR
from contrast.models.simsiam import SimSiam
from contrast.models.sup_con import SupCon
from contrast.models.swav import SwAV
from contrast.models.vicreg import VICReg

__all__ = [
    "BYOL",
    "DINO",
    "NNCLR",
    "BarlowTwins",
    "DecoupledSimCLR",
    "DualEncoder",
    "MaskedAutoencoder",
    "MoCoV2",
    "MoCoV3",
    "Scheme",
    "SimCLR",
    "SimSiam",
    "SupCon",
    "SwAV",
    "VICReg",
]
