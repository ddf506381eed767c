"""Radiographs of ellipsoids: exact line integrals along parallel rays, and the picture that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["expose", "line_integrals", "render"]

_CHUNK = 64  # images at once: enough to hide the loop over ellipsoids, few enough to stay in the cache
_ATTENUATION, _FLOOR = 0.9, 0.02


class _Geometry(NamedTuple):
    across: int  # axis of the phantom that runs along the rows of the picture
    sign: float  # which way it runs
    depth: int  # axis of the rays
    detector: float  # where on that axis the detector stands
    enlargement: float  # growth with the distance from the detector


_GEOMETRY = {
    "PA": _Geometry(0, 1.0, 1, 0.62, 0.1),
    "AP": _Geometry(0, 1.0, 1, -0.62, 0.18),
    "LATERAL": _Geometry(1, -1.0, 0, 0.9, 0.05),
    "LL": _Geometry(1, -1.0, 0, -0.9, 0.05),
}


def line_integrals(ellipsoids: np.ndarray, position: str, size: int = 64) -> np.ndarray:
    """What rays through phantoms meet on their way, for one view position.

    An ellipsoid of density $a$, whose half axes squared and turned are the matrix $S$, adds
    $2 a \\sqrt{\\det S / \\det S_{uv}} \\sqrt{\\max(0, 1 - w^T S_{uv}^{-1} w)}$ at a distance $w$ from its
    centre in the picture. Each is enlarged by its distance from the detector, as rays spread: in `"AP"`, with
    the detector at the back and the tube near, the heart looks about 1.1 times as large as in `"PA"`.

    The picture spans -1 to 1 both ways. In frontal views the patient's left is on the right of the picture;
    in lateral ones the patient looks to the left.

    Args:
        ellipsoids: `(images, ellipsoids, 8)`, see `applications.report_generation.phantom`.
        position: "PA", "AP", "LATERAL" or "LL".
        size: height and width in pixels.

    Returns:
        `(images, size, size)` float32.

    Raises:
        ValueError: if the shape, the position or the size is none of these.

    Example:

    >>> ball = np.array([[[0, 0, 0, 0.5, 0.5, 0.5, 2, 0]]])
    >>> float(line_integrals(ball, "PA", size=5)[0, 2, 2])
    2.0
    """
    ellipsoids = np.asarray(ellipsoids, "float32")
    if ellipsoids.ndim != 3 or ellipsoids.shape[2] != 8:
        raise ValueError(f"ellipsoids must be (images, ellipsoids, 8), got shape {ellipsoids.shape}.")
    if position not in _GEOMETRY:
        raise ValueError(f"position must be one of {', '.join(_GEOMETRY)}, got {position!r}.")
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}.")
    grid = ((2 * np.arange(size) + 1) / size - 1).astype("float32")
    integrals = np.zeros((len(ellipsoids), size, size), "float32")
    for start in range(0, len(ellipsoids), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        for one in np.swapaxes(ellipsoids[chunk], 0, 1):
            _add(integrals[chunk], one, _GEOMETRY[position], grid)
    return integrals


def expose(
    integrals: np.ndarray, shifts: np.ndarray | None = None, gammas: np.ndarray | None = None
) -> np.ndarray:
    """Pictures of line integrals: `1 - minmax(log(exp(-0.9 L) + 0.02))`, bright where much was met.

    Args:
        integrals: `(images, height, width)`.
        shifts: `(images, 2)` pixels down and to the right that a picture is moved; its border is continued.
        gammas: `(images,)` exponents of the brightness.

    Returns:
        `(images, height, width)` float32 in [0, 1].
    """
    light = np.log(np.exp(-_ATTENUATION * np.maximum(integrals, 0)) + _FLOOR)
    low, high = light.min((1, 2), keepdims=True), light.max((1, 2), keepdims=True)
    images = (high - light) / np.maximum(high - low, 1e-6)
    if shifts is not None:
        images = _shifted(images, np.asarray(shifts))
    if gammas is not None:
        images = images ** np.asarray(gammas, images.dtype)[:, None, None]
    return images


def render(
    ellipsoids: np.ndarray,
    positions: Sequence[str],
    generators: Sequence[np.random.Generator],
    size: int = 64,
) -> np.ndarray:
    """Radiographs of phantoms, each with its own shift (3 percent at most), gamma (0.85 to 1.15) and noise.

    Args:
        ellipsoids: `(images, ellipsoids, 8)`.
        positions: of each image.
        generators: of each image.
        size: height and width in pixels.

    Returns:
        `(images, size, size)` uint8. A picture does not depend on the others.
    """
    images = np.zeros((len(ellipsoids), size, size), "uint8")
    positions = np.asarray(positions)
    for position in np.unique(positions):
        of_position = np.flatnonzero(positions == position)
        for start in range(0, len(of_position), _CHUNK):
            chosen = of_position[start : start + _CHUNK]
            integrals = line_integrals(ellipsoids[chosen], str(position), size)
            drawn = [_draw_exposure(generators[index], size) for index in chosen]
            shifts, gammas, noise = (np.stack(values) for values in zip(*drawn, strict=True))
            pictures = expose(integrals, shifts, gammas) + noise
            images[chosen] = (pictures.clip(0, 1) * 255).round()
    return images


def _draw_exposure(generator: np.random.Generator, size: int) -> tuple[np.ndarray, float, np.ndarray]:
    shift = np.rint(generator.uniform(-0.03, 0.03, 2) * size).astype(int)
    gamma = generator.uniform(0.85, 1.15)
    return shift, gamma, 0.012 * generator.standard_normal((size, size), "float32")


def _add(integrals: np.ndarray, rows: np.ndarray, geometry: _Geometry, grid: np.ndarray) -> None:
    """Adds one ellipsoid of every image, `(images, 8)`, within a box around all of them."""
    there = np.flatnonzero(rows[:, 6])
    if not len(there):
        return
    rows = rows[there]
    squares, cosine, sine = rows[:, 3:6] ** 2, np.cos(rows[:, 7]), np.sin(rows[:, 7])
    xx = squares[:, 0] * cosine**2 + squares[:, 2] * sine**2
    zz = squares[:, 0] * sine**2 + squares[:, 2] * cosine**2
    xz = (squares[:, 0] - squares[:, 2]) * cosine * sine
    uu, uv = (xx, xz) if geometry.across == 0 else (squares[:, 1], np.zeros_like(xz))
    determinant = uu * zz - uv**2
    chord = 2 * rows[:, 6] * np.sqrt(squares.prod(1) / determinant)

    scale = 1 + geometry.enlargement * np.abs(rows[:, geometry.depth] - geometry.detector)
    u, v = geometry.sign * scale * rows[:, geometry.across], scale * rows[:, 2]
    columns = _window(grid, u, scale * np.sqrt(uu))
    lines = _window(grid, v, scale * np.sqrt(zz))
    du = (grid[columns] - u[:, None]) / scale[:, None]
    dv = (grid[lines] - v[:, None]) / scale[:, None]
    # w^T S^-1 w = dv^2 / zz + zz / det * (du - uv / zz * dv)^2
    slanted = du[:, None, :] - (uv / zz)[:, None, None] * dv[:, :, None]
    slanted *= slanted
    slanted *= -(zz / determinant)[:, None, None]
    slanted += (1 - dv**2 / zz[:, None])[:, :, None]
    np.maximum(slanted, 0, out=slanted)
    np.sqrt(slanted, out=slanted)
    slanted *= chord[:, None, None]
    if len(there) == len(integrals):
        integrals[:, lines, columns] += slanted
    else:
        integrals[there, lines, columns] += slanted


def _window(grid: np.ndarray, centres: np.ndarray, reaches: np.ndarray) -> slice:
    """The pixels, along one axis, that any of these intervals can touch."""
    first = np.searchsorted(grid, (centres - reaches).min())
    last = np.searchsorted(grid, (centres + reaches).max(), side="right")
    return slice(max(int(first) - 1, 0), int(last) + 1)


def _shifted(images: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    count, height, width = images.shape
    lines = np.clip(np.arange(height) - shifts[:, :1], 0, height - 1)
    columns = np.clip(np.arange(width) - shifts[:, 1:], 0, width - 1)
    return images[np.arange(count)[:, None, None], lines[:, :, None], columns[:, None, :]]
