"""Layers for contrastive models, and what they remember."""

from contrast.layers.centering import Centering
from contrast.layers.chunked_encoder import ChunkedEncoder, encode_in_chunks
from contrast.layers.cross_attention_fusion import CrossAttentionFusion
from contrast.layers.embedding_bank import EmbeddingBank, Nearest
from contrast.layers.fold_views import FoldViews
from contrast.layers.logit_bias import LogitBias
from contrast.layers.memory_queue import MemoryQueue, QueueContents
from contrast.layers.momentum_encoder import MomentumEncoder
from contrast.layers.projection_head import ProjectionHead
from contrast.layers.prototypes import Prototypes
from contrast.layers.scheduled_temperature import ScheduledTemperature
from contrast.layers.temperature import Temperature
from contrast.layers.temporal_conv import TemporalConv

__all__ = [
    "Centering",
    "ChunkedEncoder",
    "CrossAttentionFusion",
    "EmbeddingBank",
    "FoldViews",
    "LogitBias",
    "MemoryQueue",
    "MomentumEncoder",
    "Nearest",
    "ProjectionHead",
    "Prototypes",
    "QueueContents",
    "ScheduledTemperature",
    "Temperature",
    "TemporalConv",
    "encode_in_chunks",
]
