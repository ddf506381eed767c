"""Sentences from signed video, without glosses."""

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.augmentation import ClipAugmentation
from applications.sign_translation.batches import clip_batches
from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.evaluation import translation_scores, video_to_text_recall
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.frame_folders import load_labelled_frames
from applications.sign_translation.gfslt_vlp import GFSLTVLP, Translation, transfer_first_stage
from applications.sign_translation.label_files import convert_labels, read_labels
from applications.sign_translation.meaning import Record
from applications.sign_translation.recipes import FrameRecipe, SLTRecipe, VLPRecipe
from applications.sign_translation.retrieval import clip_vectors, sentence_vectors
from applications.sign_translation.show import captioned_strips, save_animation, save_video, strip
from applications.sign_translation.stage_one import VLP
from applications.sign_translation.stages import fit_stages
from applications.sign_translation.text import SentenceTokenizer
from applications.sign_translation.video_folder import load_video_folder

__all__ = [
    "GFSLTVLP",
    "VLP",
    "Architecture",
    "ClipAugmentation",
    "FrameRecipe",
    "Record",
    "SLTRecipe",
    "SentenceTokenizer",
    "SignedClip",
    "SigningWorld",
    "Translation",
    "VLPRecipe",
    "captioned_strips",
    "clip_batches",
    "clip_vectors",
    "convert_labels",
    "fit_stages",
    "load_labelled_frames",
    "load_video_folder",
    "read_labels",
    "save_animation",
    "save_video",
    "sentence_vectors",
    "strip",
    "transfer_first_stage",
    "translation_scores",
    "video_to_text_recall",
]
