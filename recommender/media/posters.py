"""A poster as numbers from its pixels alone: what colors it has, and where its edges run.

    colors  h_b  = sqrt(share of pixels in box b)                    4 x 4 x 4 boxes of red, green, blue
    edges    g_co = sqrt(share of |gradient| in cell c, bin o)        6 x 4 cells, 9 directions
    vector   (h, g) / sqrt 2                                          64 + 216 numbers, length 1

on the picture brought to 96 x 64 pixels by averages. The gradient is that of the mean of the three colors; directions
are those of lines, 0 to 180 degrees, and each is shared between the two nearest bins. Swain and Ballard, "Color
Indexing" (1991); Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (2005), without their
overlapping blocks. The root, which turns the product of two histograms into their Bhattacharyya coefficient, is that of
Arandjelovic and Zisserman, "Three things everyone should know to improve object retrieval" (2012).

This says that two posters look alike, not what they show. It is the fallback where no vectors of a trained network are
at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..data.errors import ChoiceError, DataError

HEIGHT, WIDTH = 96, 64
ROWS, COLUMNS, DIRECTIONS = 6, 4, 9
BOXES = 4  # of each color
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def poster_vector(pixels: np.ndarray) -> np.ndarray:
    """Return (280,) float32 of length 1 for pixels (height, width, 3) of red, green, blue, 0 to 255.

    Raises `DataError` for another shape or dtype.  Cost O(height width).

    >>> red = np.full((30, 20, 3), (255, 0, 0), np.uint8)
    >>> vector = poster_vector(red)
    >>> vector.shape, int(vector.argmax()), round(float(vector.max()), 3)
    ((280,), 48, 1.0)
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise DataError(f"pixels {pixels.shape} {pixels.dtype}: give (height, width, 3) uint8 of red, green, blue")
    small = shrunk(pixels)
    colors, edges = _colors(small), _edges(small.mean(axis=2) / 255)
    vector = np.concatenate((colors, edges))
    result = (vector / np.linalg.norm(vector)).astype(np.float32)
    return result


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """Return (96, 64, 3) float64, 0 to 255: each pixel the mean of the pixels that it stands for."""
    picture = pixels.astype(np.float64)
    for axis, size in ((0, HEIGHT), (1, WIDTH)):
        edges = np.arange(size + 1) * picture.shape[axis] // size
        low, high = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
        sums = np.insert(np.cumsum(picture, axis=axis), 0, 0.0, axis=axis)
        counts = (high - low).reshape([-1 if at == axis else 1 for at in range(3)])
        picture = (np.take(sums, high, axis=axis) - np.take(sums, low, axis=axis)) / counts
    return picture


def read_pixels(path: Path) -> np.ndarray:
    """Return the pixels of a picture file, (height, width, 3) uint8; needs Pillow.

    Raises `ChoiceError`, naming the extra, where Pillow is missing, and `DataError` for a file that it can't read.
    """
    image_module = _pillow(path)
    try:
        with image_module.open(path) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except FileNotFoundError:
        raise DataError(f"no picture at {path}: give an existing file") from None
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        raise DataError(f"{path} can't be read as a picture ({str(error).splitlines()[0]}): save it anew") from None


def _colors(picture: np.ndarray) -> np.ndarray:
    """Return (64,), of length 1."""
    boxes = (picture.reshape(-1, 3) * BOXES / 256).astype(np.int64)
    box = (boxes[:, 0] * BOXES + boxes[:, 1]) * BOXES + boxes[:, 2]
    shares = np.bincount(box, minlength=BOXES**3) / len(box)
    roots = np.sqrt(shares)
    return roots


def _edges(grey: np.ndarray) -> np.ndarray:
    """Return (216,), at length 1 or 0, for (96, 64) values of 0 to 1."""
    down, across = np.gradient(grey)
    strength = np.hypot(down, across)
    place = np.arctan2(down, across) / np.pi * DIRECTIONS  # (96, 64), -9 to 9, where 9 more is the same line
    lower = np.floor(place)
    share = place - lower
    cells = np.arange(HEIGHT)[:, None] * ROWS // HEIGHT * COLUMNS + np.arange(WIDTH) * COLUMNS // WIDTH
    found = np.zeros(ROWS * COLUMNS * DIRECTIONS)
    for bins, part in ((lower, 1 - share), (lower + 1, share)):
        at = cells * DIRECTIONS + bins.astype(np.int64) % DIRECTIONS
        found += np.bincount(at.ravel(), weights=(strength * part).ravel(), minlength=len(found))
    total = found.sum()
    roots = np.sqrt(found / total) if total else found
    return roots


def _pillow(path: Path) -> Any:
    try:
        import importlib

        return importlib.import_module("PIL.Image")
    except ImportError:
        raise ChoiceError(
            f"reading {path.name} needs Pillow: pip install 'tastevec[images]', or give pixels or vectors as .npy"
        ) from None
