"""Surfaces with defects that are drawn on them, and the masks of the defects."""

from dataclasses import dataclass

import numpy as np

from applications.environment import check_packages

TEXTURES = ("brick", "grass", "gravel")
DEFECTS = ("scratch", "stain", "missing part", "cut and paste")


@dataclass(frozen=True)
class DefectImages:
    """Small patches of a good surface to train on, larger pictures to test.

    Attributes:
        train: float32 `(patches, side, side, 1)` from 0 to 1.
        test: float32 `(pictures, height, width, 1)`.
        masks: bool `(pictures, height, width)`, `True` on defects.
        defects: for each picture `"good"` or what is wrong with it.
    """

    train: np.ndarray
    test: np.ndarray
    masks: np.ndarray
    defects: tuple[str, ...]

    @property
    def is_normal(self) -> np.ndarray:
        """Bool `(pictures,)`: no defect anywhere."""
        return ~self.masks.any(axis=(1, 2))


def textures(
    name: str, seed: int = 0, patches: int = 256, pictures: int = 40, patch: int = 32, size: int = 96
) -> DefectImages:
    """A surface of scikit-image: the left half is trained on, the right half tested.

    Half of the pictures are good, the others show one defect each, in turn of each kind of `DEFECTS`.

    Args:
        name: one of `TEXTURES`.
        seed: non-negative int that fixes patches, pictures and defects.
        patches: how many patches to train on.
        pictures: how many pictures to test.
        patch: side of a patch, in pixels of the surface, which has 512.
        size: side of a picture, at most 256.

    Raises:
        ValueError: if there is no such surface, or a size is out of its range.
    """
    check_packages("skimage")
    from skimage import data

    if name not in TEXTURES:
        raise ValueError(f"name must be one of {', '.join(TEXTURES)}, got {name!r}.")
    if not 8 <= patch <= size <= 256:
        raise ValueError(f"patch and size must be 8 <= patch <= size <= 256, got {patch} and {size}.")
    surface = getattr(data, name)()[..., None].astype("float32") / 255
    generator = np.random.default_rng((seed, TEXTURES.index(name)))
    left, right = surface[:, :256], surface[:, 256:]
    train = np.stack([crop(left, patch, generator) for _ in range(patches)])
    test = np.stack([crop(right, size, generator) for _ in range(pictures)])
    masks, defects = np.zeros(test.shape[:3], bool), ["good"] * pictures
    for number in range(pictures // 2, pictures):
        defects[number] = DEFECTS[number % len(DEFECTS)]
        test[number], masks[number] = with_defect(test[number], defects[number], generator)
    return DefectImages(train, test, masks, tuple(defects))


def crop(image: np.ndarray, side: int, generator: np.random.Generator) -> np.ndarray:
    """A random square of the image."""
    top, left = (int(generator.integers(length - side + 1)) for length in image.shape[:2])
    return image[top : top + side, left : left + side].copy()


def with_defect(
    image: np.ndarray, defect: str, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A copy of an image with a defect in it, and where the defect is.

    Args:
        image: `(height, width, channels)`, floats from 0 to 1, at least 16 pixels a side.
        defect: `"scratch"`, a thin bright or dark line; `"stain"`, a soft spot that is darker or
            brighter; `"missing part"`, a disc of one colour; `"cut and paste"`, a rectangle from elsewhere in
            the image.
        generator: draws place, size and colour.

    Returns:
        The image and a bool mask `(height, width)`.

    Raises:
        ValueError: if there is no such defect.

    Example:

    >>> from applications.anomaly_detection.textures import with_defect
    >>> image, mask = with_defect(np.full((64, 64, 1), 0.5), "scratch", np.random.default_rng(0))
    >>> bool(mask.any()), bool((image[~mask] == 0.5).all())
    (True, True)
    """
    if defect not in _DRAW:
        raise ValueError(f"defect must be one of {', '.join(map(repr, _DRAW))}, got {defect!r}.")
    changed, mask = _DRAW[defect](image, generator)
    return np.clip(changed, 0, 1).astype(image.dtype), mask


def _grid(image):
    height, width = image.shape[:2]
    return np.mgrid[:height, :width].astype("float64")


def _centre(image, generator, margin=0.2):
    return [generator.uniform(margin, 1 - margin) * side for side in image.shape[:2]]


def _scratch(image, generator):
    rows, columns = _grid(image)
    row, column = _centre(image, generator)
    angle, length = generator.uniform(0, np.pi), generator.uniform(0.3, 0.5) * min(image.shape[:2])
    along = (rows - row) * np.sin(angle) + (columns - column) * np.cos(angle)
    bend = 0.15 * along**2 / length
    across = (rows - row) * np.cos(angle) - (columns - column) * np.sin(angle) - bend
    mask = (np.abs(across) <= generator.uniform(0.8, 1.6)) & (np.abs(along) <= length / 2)
    colour = generator.choice([0.05, 0.95])
    return np.where(mask[..., None], colour, image), mask


def _stain(image, generator):
    rows, columns = _grid(image)
    row, column = _centre(image, generator)
    height, width = generator.uniform(0.07, 0.15, 2) * min(image.shape[:2])
    distance = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2
    strength = np.exp(-0.5 * np.maximum(distance - 1, 0) * 4)
    change = generator.choice([-1, 1]) * generator.uniform(0.3, 0.45)
    return image + change * strength[..., None], strength > 0.5


def _missing_part(image, generator):
    rows, columns = _grid(image)
    row, column = _centre(image, generator)
    radius = generator.uniform(0.08, 0.14) * min(image.shape[:2])
    mask = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return np.where(mask[..., None], image.mean(axis=(0, 1)), image), mask


def _cut_and_paste(image, generator):
    """CutPaste (Li et al., CVPR 2021): a rectangle from elsewhere, here turned by a right angle as well."""
    side = int(generator.uniform(0.2, 0.3) * min(image.shape[:2]))
    piece = np.rot90(crop(image, side, generator), int(generator.integers(1, 4)))
    top, left = (int(generator.integers(length - side + 1)) for length in image.shape[:2])
    changed, mask = image.copy(), np.zeros(image.shape[:2], bool)
    changed[top : top + side, left : left + side] = piece
    mask[top : top + side, left : left + side] = True
    return changed, mask


_DRAW = dict(zip(DEFECTS, (_scratch, _stain, _missing_part, _cut_and_paste), strict=True))
