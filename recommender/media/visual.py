"""The look of movies: vectors computed elsewhere, features of poster pixels, or a service that embeds pictures.

    .npz, .npy, folder of ID.npy (d,)               vectors of a trained network, such as ResNet-50's 2048 numbers
    folder of ID.jpg, .png, .webp                   poster features; reading them needs Pillow
    folder of ID.npy (height, width, 3) uint8       poster features, without Pillow
    ImageService                                    POST {"model": m, "input": [picture, ...], "modality": "image"}

Poster features, of the picture brought to 96 x 64 pixels by averages, say that two posters look alike, not what they
show: a fallback for vectors of a trained network.

    colors   h_b  = sqrt(share of pixels in box b)                    4 x 4 x 4 boxes of red, green, blue
    edges    g_co = sqrt(share of |gradient| in cell c, bin o)        6 x 4 cells, 9 directions
    vector   (h, g) / sqrt 2                                          64 + 216 numbers, length 1

The gradient is that of the mean of the three colors; directions are those of lines, 0 to 180 degrees, each shared
between the two nearest bins. Swain and Ballard 1991, "Color Indexing"; Dalal and Triggs 2005, "Histograms of Oriented
Gradients", without overlapping blocks; the root is that of Arandjelovic and Zisserman 2012, "Three things everyone
should know to improve object retrieval".
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..data.errors import ChoiceError, DataError
from ..text.backends.http import HttpBackend
from .vector_files import Progress, Vectors, movie_files, read_vectors

HEIGHT, WIDTH = 96, 64
ROWS, COLUMNS, DIRECTIONS = 6, 4, 9
BOXES = 4  # of each color
_AT_ONCE = 32  # pictures that Infinity takes in one request
MEDIA_TYPES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


def read_visual(path: Path, progress: Progress = lambda done, n: None) -> Vectors:
    """Return the movies' picture vectors from a file or folder of the forms above (`read_vectors`)."""
    return read_vectors(path, MEDIA_TYPES, lambda file: poster_vector(read_pixels(file)), progress, poster_vector)


def read_pixels(path: Path) -> np.ndarray:
    """Return the pixels of a picture file, (height, width, 3) uint8; needs Pillow.

    Raises `ChoiceError`, naming the extra, where Pillow is missing, and `DataError` for a file that it can't read.
    """
    try:
        pillow = importlib.import_module("PIL.Image")
    except ImportError:
        extra = "pip install 'tastevec[images]'"
        raise ChoiceError(f"reading {path.name} needs Pillow: {extra}, or give pixels or vectors as .npy") from None
    try:
        with pillow.open(path) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise DataError(f"{path} can't be read as a picture ({str(error).splitlines()[0]}): save it again") from None


def poster_vector(pixels: np.ndarray) -> np.ndarray:
    """Return (280,) float32 of length 1 for pixels (height, width, 3) of red, green, blue, 0 to 255.

    Raises `DataError` for another shape or dtype.  Cost O(height width).

    >>> vector = poster_vector(np.full((30, 20, 3), (255, 0, 0), np.uint8))
    >>> vector.shape, int(vector.argmax()), round(float(vector.max()), 3)
    ((280,), 48, 1.0)
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise DataError(f"pixels {pixels.shape} {pixels.dtype}: give (height, width, 3) uint8 of red, green, blue")
    small = shrunk(pixels)
    vector = np.concatenate((_colors(small), _edges(small.mean(axis=2) / 255)))
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """Return (96, 64, 3) float64, 0 to 255: each pixel the mean of the pixels that it stands for."""
    sums, counts = pixels.astype(np.float64), np.ones((1, 1, 1))  # whole numbers until the division
    for axis, size in ((0, HEIGHT), (1, WIDTH)):
        edges = np.arange(size + 1) * pixels.shape[axis] // size
        sums = np.add.reduceat(sums, edges[:-1], axis=axis)  # one pixel where two edges are equal
        counts = counts * np.maximum(np.diff(edges), 1).reshape(-1, *[1] * (2 - axis))
    return sums / counts


def _colors(picture: np.ndarray) -> np.ndarray:
    """Return h (64,), of length 1."""
    red, green, blue = (picture.reshape(-1, 3) * BOXES / 256).astype(np.int64).T
    box = (red * BOXES + green) * BOXES + blue
    return np.sqrt(np.bincount(box, minlength=BOXES**3) / len(box))


def _edges(gray: np.ndarray) -> np.ndarray:
    """Return g (216,), of length 1 or 0, for (96, 64) values of 0 to 1."""
    down, across = np.gradient(gray)
    strength = np.hypot(down, across)
    place = np.arctan2(down, across) / np.pi * DIRECTIONS  # (96, 64), -9 to 9, where 9 more is the same line
    lower = np.floor(place)
    share = place - lower
    cells = np.arange(HEIGHT)[:, None] * ROWS // HEIGHT * COLUMNS + np.arange(WIDTH) * COLUMNS // WIDTH
    found = np.zeros(ROWS * COLUMNS * DIRECTIONS)
    for bins, part in ((lower, 1 - share), (lower + 1, share)):  # the two nearest directions
        at = cells * DIRECTIONS + bins.astype(np.int64) % DIRECTIONS
        found += np.bincount(at.ravel(), weights=(strength * part).ravel(), minlength=len(found))
    return np.sqrt(found / max(found.sum(), np.finfo(float).tiny))


class ImageService(HttpBackend):
    """Embeds pictures, as the Infinity server does: an `HttpBackend` whose texts are what `picture_address` returns."""

    extra: ClassVar[Mapping[str, str]] = {"modality": "image"}

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{"batch_size": _AT_ONCE, **fields})
        if self.settings.cache:
            # A model that embeds both has one name: the text that a server proves itself with must be a picture here.
            self.settings = dataclasses.replace(self.settings, cache=str(Path(self.settings.cache) / "images"))

    def embed_folder(self, folder: Path) -> Vectors:
        """Return the vectors of ID.jpg, ID.png or ID.webp in `folder`; those that were embedded before cost no call."""
        files = movie_files(folder, MEDIA_TYPES)
        vectors = self.embed_known(list(map(picture_address, files.values())), [file.name for file in files.values()])
        known = vectors.any(axis=1)  # not what the service refused
        return np.array(list(files))[known], vectors[known]


def picture_address(path: Path) -> str:
    """Return a `data:` address that holds the picture file itself."""
    return f"data:image/{MEDIA_TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode()}"
