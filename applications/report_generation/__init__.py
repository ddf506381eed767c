"""Drafts of radiology reports from the views of a visit and what is known of the visit before."""

from applications.report_generation.annotation import load_annotation
from applications.report_generation.architecture import Architecture
from applications.report_generation.batches import StudyBatches
from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.evaluation import Labeller, report_scores
from applications.report_generation.facts import facts_from_report
from applications.report_generation.image_encoders import ConvolutionTokens, DinoTokens
from applications.report_generation.image_features import ImageFeatures, encode_images
from applications.report_generation.mimic_folders import load_mimic_folders
from applications.report_generation.mlrg import MLRG, Report, transfer_first_stage
from applications.report_generation.recipes import PretrainingRecipe, ReportRecipe
from applications.report_generation.retrieval import embed_facts, embed_studies, report_recall
from applications.report_generation.show import study_picture
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.stages import fit_image_encoder, fit_stages
from applications.report_generation.study import PriorVisit, Study, View, without
from applications.report_generation.table import load_table
from applications.report_generation.text import ReportTokenizer, study_texts

__all__ = [
    "MLRG",
    "Architecture",
    "ConvolutionTokens",
    "DinoTokens",
    "ImageFeatures",
    "Labeller",
    "MLRGPretraining",
    "PretrainingRecipe",
    "PriorVisit",
    "RadiographWorld",
    "Report",
    "ReportRecipe",
    "ReportTokenizer",
    "Study",
    "StudyBatches",
    "View",
    "embed_facts",
    "embed_studies",
    "encode_images",
    "facts_from_report",
    "fit_image_encoder",
    "fit_stages",
    "load_annotation",
    "load_mimic_folders",
    "load_table",
    "report_recall",
    "report_scores",
    "study_picture",
    "study_texts",
    "transfer_first_stage",
    "without",
]
