"""Odd images found by a model that has seen only normal ones."""

from applications.anomaly_detection.detector import AnomalyDetector
from applications.anomaly_detection.evaluation import auroc, pixel_auroc
from applications.anomaly_detection.formats import load_folder, read_category, read_pictures
from applications.anomaly_detection.patches import cut_patches
from applications.anomaly_detection.shift_probe import shift_probe
from applications.anomaly_detection.training import evaluate
from applications.anomaly_detection.unicon_ha import Recipe, Stage, UniConHA
from applications.anomaly_detection.views import Strength

__all__ = [
    "AnomalyDetector",
    "Recipe",
    "Stage",
    "Strength",
    "UniConHA",
    "auroc",
    "cut_patches",
    "evaluate",
    "load_folder",
    "pixel_auroc",
    "read_category",
    "read_pictures",
    "shift_probe",
]
