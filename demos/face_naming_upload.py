"""From an uploaded picture and a caption to named faces, or to words about what is wrong with them."""

import numpy as np

from applications.face_naming.captions import names_in_caption
from applications.face_naming.corpus import DIGIT_NAMES
from applications.face_naming.digit_detector import crop_digits, detect_digits
from applications.face_naming.formats import CaptionedPhoto, NamedPhoto, PhotoBatches
from applications.face_naming.secla import SECLA
from demos.uploads import UploadError, read_picture

MOST_FACES = 12
LONGEST_CAPTION = 500

_NAMES = ", ".join(DIGIT_NAMES)


def name_upload(
    model: SECLA, path: str | None, caption: str | None
) -> tuple[CaptionedPhoto, NamedPhoto, str]:
    """Names the digits of an uploaded picture.

    Args:
        model: names digit crops of `(28, 28, 1)`, by spelled names.
        path: of the uploaded file; `None` if there is none.
        caption: what the user wrote.

    Returns:
        the photo, its names without a threshold, and a remark for the user, `""` if there is none. A caption
        without known names leaves every face without a name.

    Raises:
        UploadError: if picture or caption cannot be used, or no digit or more than 12 are found.
    """
    caption = caption or ""
    if path is None:
        raise UploadError("Please choose a photo first.")
    check_caption(caption)
    image = read_picture(path)
    boxes = detect_digits(image, at_most=MOST_FACES + 1)
    if len(boxes) == 0:
        raise UploadError(
            "No faces were found in the photo, that is, no handwritten digits. "
            "Thick strokes on a plain background work best."
        )
    if len(boxes) > MOST_FACES:
        raise UploadError(f"More than {MOST_FACES} digits were found; please send a part of the photo.")
    photo = CaptionedPhoto(
        crop_digits(image, boxes), names_in_caption(caption, DIGIT_NAMES), caption, image, boxes
    )
    return photo, name_photo(model, photo), _remark(photo)


def check_caption(caption: str | None) -> None:
    """Raises UploadError if a caption has more than 500 characters."""
    if caption and len(caption) > LONGEST_CAPTION:
        raise UploadError(
            f"The caption has {len(caption):,} characters; at most {LONGEST_CAPTION} can be read."
        )


def name_photo(model: SECLA, photo: CaptionedPhoto) -> NamedPhoto:
    """Names the faces of one photo, in a batch whose shape is that of any other, so that it compiles once."""
    filler = CaptionedPhoto(np.zeros((MOST_FACES, 28, 28, 1), "float32"), DIGIT_NAMES)
    return model.name_faces(PhotoBatches([photo, filler], batch_size=2, shuffle=False))[0]


def _remark(photo: CaptionedPhoto) -> str:
    if photo.names:
        return ""
    what = "mentions nobody whom the model knows" if photo.caption.strip() else "is empty"
    return f"The caption {what}, so every face stays without a name. The model knows: {_NAMES}."
