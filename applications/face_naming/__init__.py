"""Names for the faces of captioned photos, learned from photos and captions alone."""

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
from applications.face_naming.secla import SECLA, Recipe
from applications.face_naming.secla_b import SECLAB, fit_stages

__all__ = [
    "NONAME",
    "SECLA",
    "SECLAB",
    "BankedBatches",
    "CaptionedPhoto",
    "DigitWorld",
    "IdentityWorld",
    "NamedPhoto",
    "PhotoBatches",
    "Recipe",
    "bounds",
    "digit_photos",
    "face_bank",
    "fit_stages",
    "identity_photos",
    "load_folder",
    "names_in_caption",
    "save_folder",
    "score",
    "split_photos",
]
