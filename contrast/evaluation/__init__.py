"""How good embeddings are: probes, retrieval, clustering and similarity, on arrays of embeddings."""

from contrast.evaluation.clustering_scores import clustering_scores
from contrast.evaluation.few_shot_probe import few_shot_probe
from contrast.evaluation.knn_probe import knn_probe
from contrast.evaluation.linear_cka import linear_cka
from contrast.evaluation.linear_probe import linear_probe
from contrast.evaluation.retrieval_scores import retrieval_scores
from contrast.evaluation.ridge_probe import ridge_probe
from contrast.evaluation.sts_spearman import sts_spearman

__all__ = [
    "clustering_scores",
    "few_shot_probe",
    "knn_probe",
    "linear_cka",
    "linear_probe",
    "retrieval_scores",
    "ridge_probe",
    "sts_spearman",
]
