"""The look of movies: vectors computed elsewhere, poster pixels, or a service that embeds pictures.

    .npz, .npy, folder of ID.npy (d,)               vectors of a trained network, such as ResNet-50's 2048 numbers
    folder of ID.jpg, .png, .webp                   poster features (`posters`); reading them needs Pillow
    folder of ID.npy (height, width, 3) uint8       poster features, without Pillow
    ImageService                                    POST {"model": m, "input": [picture, ...], "modality": "image"}

The service answers as one for texts does (net/openai.py); this is the interface of the Infinity server, whose
pictures are addresses or `data:` addresses that hold the file itself. Everything that `HttpBackend` does for texts
(batches, retries, a cache on disk, no second call for what was paid for) holds for pictures too.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, ClassVar

import numpy as np

from ..data.errors import DataError
from ..text.backends.http import HttpBackend
from .modalities import VISUAL, Modality, from_vectors, movie_files, read_modality, read_npy
from .posters import poster_vector, read_pixels

Progress = Callable[[int, int], None]

_AT_ONCE = 32  # pictures that Infinity takes in one request
_MEDIA_TYPES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


def read_visual(path: Path, progress: Progress = lambda done, n: None) -> Modality:
    """Return the movies' picture vectors from a file or folder of the forms above.

    progress: called with how many of how many pictures are done.  Raises `DataError` for what is not of such a form,
    `ChoiceError` where pictures need Pillow and it is missing.
    """
    if not path.is_dir():
        return read_modality(path, VISUAL)
    if any(file.suffix.lower() in _MEDIA_TYPES for file in path.iterdir()):
        files, read = movie_files(path, _MEDIA_TYPES), read_pixels
    else:
        files, read = movie_files(path, [".npy"]), read_npy
        if np.squeeze(read_npy(next(iter(files.values())))).ndim == 1:
            return read_modality(path, VISUAL)
    vectors = {}
    for done, (movie_id, file) in enumerate(files.items(), 1):
        try:
            vectors[movie_id] = poster_vector(read(file))
        except DataError as error:
            raise DataError(f"movie id {movie_id}, {file.name}: {error}") from None
        progress(done, len(files))
    return from_vectors(VISUAL, vectors)


class ImageService(HttpBackend):
    """Embeds pictures with a service on the network; settings as those of `HttpBackend`.

    Where `HttpBackend` takes texts, this takes pictures: addresses, or what `picture_address` returns.
    """

    extra: ClassVar[Mapping[str, str]] = {"modality": "image"}

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{"batch_size": _AT_ONCE, **fields})
        if self.settings.cache:
            # A model that embeds both has one name: the text that a server proves itself with must be a picture here.
            self.settings = dataclasses.replace(self.settings, cache=str(Path(self.settings.cache) / "images"))

    def embed_folder(self, folder: Path) -> Modality:
        """Return the vectors of ID.jpg, ID.png or ID.webp in `folder`; those that were embedded before cost no call."""
        files = movie_files(folder, _MEDIA_TYPES)
        vectors = self.embed_texts([picture_address(file) for file in files.values()])
        return from_vectors(VISUAL, dict(zip(files, vectors)))


def picture_address(path: Path) -> str:
    """Return a `data:` address that holds the picture file itself."""
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:image/{_MEDIA_TYPES[path.suffix.lower()]};base64,{content}"
