"""Names for the faces of captioned photos, learned from photos and captions alone."""

from applications.face_naming.annotated import AnnotatedPhoto, synthetic_vectors
from applications.face_naming.augmented_lfw import load_augmented_lfw, official_score, read_augmented_lfw
from applications.face_naming.bert_names import bert_name_features
from applications.face_naming.celebrity_together import load_celebrity_together, read_celebrity_together
from applications.face_naming.corpus import DigitWorld, IdentityWorld, digit_photos, identity_photos
from applications.face_naming.evaluation import bounds, score
from applications.face_naming.face_bank import BankedBatches, face_bank
from applications.face_naming.folder import load_folder, save_folder
from applications.face_naming.formats import (
    NONAME,
    CaptionedPhoto,
    NamedPhoto,
    PhotoBatches,
    names_in_caption,
    split_photos,
)
from applications.face_naming.name_proposals import propose_names
from applications.face_naming.photo_folder import load_photo_folder
from applications.face_naming.real_faces import DetectedFaces, find_faces
from applications.face_naming.secla import SECLA, Recipe
from applications.face_naming.secla_b import SECLAB, fit_stages
from applications.face_naming.sklearn_lfw import PortraitWorld

__all__ = [
    "NONAME",
    "SECLA",
    "SECLAB",
    "AnnotatedPhoto",
    "BankedBatches",
    "CaptionedPhoto",
    "DetectedFaces",
    "DigitWorld",
    "IdentityWorld",
    "NamedPhoto",
    "PhotoBatches",
    "PortraitWorld",
    "Recipe",
    "bert_name_features",
    "bounds",
    "digit_photos",
    "face_bank",
    "find_faces",
    "fit_stages",
    "identity_photos",
    "load_augmented_lfw",
    "load_celebrity_together",
    "load_folder",
    "load_photo_folder",
    "names_in_caption",
    "official_score",
    "propose_names",
    "read_augmented_lfw",
    "read_celebrity_together",
    "save_folder",
    "score",
    "split_photos",
    "synthetic_vectors",
]
