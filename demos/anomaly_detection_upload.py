"""From a zip of normal pictures to something to train on, or to words about what is wrong with it."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from applications.anomaly_detection.demo_corpora import NORMAL, DemoCorpus
from applications.anomaly_detection.formats import GOOD, SUFFIXES, TRAIN, read_category, read_pictures
from applications.anomaly_detection.patches import cut_patches
from applications.anomaly_detection.textures import DEFECTS, with_defect
from applications.archives import unpack_zip
from applications.pictures import image_files
from demos.uploads import MOST_PIXELS, UploadError, read_picture

FEWEST, MOST = 10, 500
PATCH, SURFACE = 32, 128  # sides of what is trained on, and of the picture of a surface
MOST_PATCHES, MOST_HELD_OUT, MOST_TESTS = 600, 30, 60


def read_zip(path: str | None, surface: bool = False, seed: int = 0) -> DemoCorpus:
    """Reads an uploaded zip of normal pictures: flat, in class folders, or in the layout of MVTec-AD.

    A fifth of the normal pictures is held out for the threshold. Without test pictures of its own, half of
    the tests are held-out pictures and half the same ones with a defect drawn on them.

    Args:
        path: of the uploaded file; `None` if there is none.
        surface: pictures are scaled to 128 x 128 pixels and looked through in patches of 32 x 32; otherwise
            they are scaled to 32 x 32 as a whole.
        seed: of the split, of the patches and of the defects.

    Raises:
        UploadError: if the file is no zip or not safe to unpack, or holds fewer than 10 or more than 500
            pictures that can be read, or nothing but one colour.
    """
    if path is None:
        raise UploadError("Please choose a zip file first.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pictures"
        try:
            files = unpack_zip(path, folder, SUFFIXES)
            if len(files) > MOST:
                raise UploadError(f"The zip file holds {len(files)} pictures; at most {MOST} can be used.")
            return _corpus(folder, surface, np.random.default_rng(seed))
        except UploadError:
            raise
        except ValueError as error:
            raise UploadError(_in_words(error, folder)) from None


def read_test_picture(path: str | None, corpus: DemoCorpus) -> tuple[np.ndarray, str]:
    """An uploaded test picture as the pictures of the corpus are, and a remark, `""` if there is none.

    Returns:
        `(height, width, channels)` float32 from 0 to 1, scaled as a whole to the size of the test pictures.

    Raises:
        UploadError: if there is no picture, or it cannot be read.
    """
    if path is None:
        raise UploadError("Please choose a picture first.")
    height, width, channels = corpus.tests.shape[1:]
    picture = Image.fromarray(read_picture(path)).convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), "float32") / 255
    pixels = pixels.reshape(height, width, channels)
    remark = "The picture holds nothing but one colour." if is_constant(pixels[None])[0] else ""
    return pixels, remark


def is_constant(images: np.ndarray) -> np.ndarray:
    """Whether each image holds nothing but one colour, bool `(count,)`."""
    return (np.ptp(images, axis=(1, 2)) == 0).all(axis=-1)


def _corpus(folder, surface, generator):
    remarks = [f"{name}: too many pixels" for name in _without_large_pictures(folder)]
    root, size = _root(folder), SURFACE if surface else PATCH
    if (root / TRAIN / GOOD).is_dir():
        category = read_category(root, size)
        normal, test = category.train, category.test
    else:
        normal, test = read_pictures(root, size), None
    skipped = [*normal.skipped, *(test.skipped if test else ())]
    remarks += [_in_words(reason, root) for reason in skipped]
    images = normal.images
    if len(images) < FEWEST:
        raise UploadError(
            f"{len(images)} normal pictures can be read; at least {FEWEST} are needed, better a hundred."
            + (f" Not read: {'; '.join(remarks)}" if remarks else "")
        )
    constant = is_constant(images)
    if constant.all():
        raise UploadError("All pictures hold nothing but one colour: there is nothing to learn from them.")
    remarks += [f"{normal.files[row]}: nothing but one colour" for row in np.flatnonzero(constant)]
    order = generator.permutation(len(images))
    held_out, rest = np.split(order, [min(MOST_HELD_OUT, max(3, len(images) // 5))])
    train = images[rest]
    if surface:
        train = cut_patches(train, PATCH, PATCH)
        train = train[generator.permutation(len(train))[:MOST_PATCHES]]
    held_out = images[held_out]
    tests, kinds = _drawn(held_out, generator) if test is None else _tests_of(category)
    return DemoCorpus("Your pictures", train, held_out, tests, kinds, remarks=tuple(remarks))


def _without_large_pictures(folder):
    """Deletes what is too large to be decoded, and returns the names."""
    names = []
    for file in image_files(folder, SUFFIXES):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
                with Image.open(file) as picture:
                    pixels = picture.width * picture.height
        except Image.DecompressionBombError:
            pixels = MOST_PIXELS + 1
        except Exception:  # no picture: the reader lists it with its reason
            continue
        if pixels > MOST_PIXELS:
            names.append(str(file.relative_to(folder)))
            file.unlink()
    return names


def _root(folder):
    """The folder in which something begins: archives often hold one folder that holds everything."""
    while True:
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name == TRAIN:
            return folder
        folder = inside[0]


def _drawn(pictures, generator):
    """Test pictures: some as they are, and with a defect in them."""
    pictures = pictures[: MOST_TESTS // 2]
    defects = [DEFECTS[row % len(DEFECTS)] for row in range(len(pictures))]
    changed = [
        with_defect(picture, defect, generator)[0] for picture, defect in zip(pictures, defects, strict=True)
    ]
    kinds = (NORMAL,) * len(pictures) + tuple(f"{defect}, drawn" for defect in defects)
    return np.concatenate([pictures, np.stack(changed)]), kinds


def _tests_of(category):
    """At most 60 test pictures of a category, of every kind some."""
    rows = np.arange(len(category.is_normal))
    if len(rows) > MOST_TESTS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_TESTS).astype(int)]
    rows = rows[np.argsort(~category.is_normal[rows], kind="stable")]
    names = [category.test.classes[label] for label in category.test.labels]
    return category.test.images[rows], tuple(NORMAL if names[row] == GOOD else names[row] for row in rows)


def _in_words(error, folder):
    """A message without the folder on this machine into which the zip was unpacked."""
    words = str(error).replace(f"{folder}/", "").replace(str(folder), "the zip file")
    first, separator, rest = words.partition(": ")
    if separator and rest.startswith(first):  # the file, named by who lists it and by who read it
        words = rest
    return words[:1].upper() + words[1:] if words.startswith("the ") else words
