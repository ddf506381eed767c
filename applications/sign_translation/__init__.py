"""Sentences from signed video, without glosses."""

from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.evaluation import translation_scores, video_to_text_recall
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.frame_folders import load_labelled_frames
from applications.sign_translation.label_files import convert_labels, read_labels
from applications.sign_translation.meaning import Record
from applications.sign_translation.show import captioned_strips, save_animation, strip
from applications.sign_translation.text import SentenceTokenizer
from applications.sign_translation.video_folder import load_video_folder

__all__ = [
    "Record",
    "SentenceTokenizer",
    "SignedClip",
    "SigningWorld",
    "captioned_strips",
    "convert_labels",
    "load_labelled_frames",
    "load_video_folder",
    "read_labels",
    "save_animation",
    "strip",
    "translation_scores",
    "video_to_text_recall",
]
