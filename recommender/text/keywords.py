"""Vectors of every genre and keyword of the movies, for requests that are little more than a keyword.

They are stored as `keyword_embeddings.npz`, with the columns keyword and embedding, beside the movies' vectors of the
same model.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import numpy as np

from ..data.errors import ArtifactError
from .base import BaseEmbeddingBackend, Identity
from .vectors import KEYWORDS, VectorTable


def load_keywords(folder: Path, identity: Optional[Identity] = None) -> tuple[list[str], np.ndarray]:
    """Return the genres and keywords stored in `folder`, ascending, and their vectors (n, d) float32.

    identity: as in `VectorTable.load`.  Raises `ArtifactError` if none are stored, or those of another model.
    """
    table = VectorTable.load(folder, KEYWORDS, identity)
    return table["keyword"].tolist(), table.embedding


def store_keywords(
    folder: Path, metadata: Iterable[str], backend: BaseEmbeddingBackend, small: bool = False, force: bool = False
) -> int:
    """Store the vectors of all genres and keywords of movies, and return how many were embedded.

    metadata: of the movies, JSON.  small: in 8 bits.  force: embed those that are stored too.
    """
    movies = map(json.loads, metadata)
    words = sorted({word for movie in movies for name in ("genres", "keywords") for word in movie.get(name, ())})
    known: dict[str, np.ndarray] = {}
    if not force:
        with contextlib.suppress(ArtifactError):  # none are stored, or those of another model
            known = dict(zip(*load_keywords(folder, backend.identity)))
    missing = [word for word in words if word not in known]
    if missing or len(known) > len(words):
        known.update(zip(missing, backend.embed_texts(missing)))
        vectors = np.array([known[word] for word in words], np.float32).reshape(-1, backend.identity.dimension)
        table = VectorTable(KEYWORDS, {"keyword": np.array(words, np.str_)}, vectors, backend.identity)
        table.save(folder, ("npz",), small)
    return len(missing)
