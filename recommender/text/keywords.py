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

from ..data.catalog import Catalog
from ..data.errors import ArtifactError
from ..linalg.rows import unit_rows
from .base import BaseEmbeddingBackend, Identity
from .vectors import KEYWORDS, VectorTable


def load_keywords(folder: Path, identity: Optional[Identity] = None) -> tuple[list[str], np.ndarray]:
    """Return the genres and keywords stored in `folder`, ascending, and their vectors (n, d) of any length and dtype.

    identity: as in `VectorTable.load`.  Raises `ArtifactError` if none are stored, or those of another model.
    """
    table = VectorTable.load(folder, KEYWORDS, identity, as_stored=True)
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
        vectors = unit_rows(np.array([known[word] for word in words]).reshape(-1, backend.identity.dimension))
        table = VectorTable(KEYWORDS, {"keyword": np.array(words, np.str_)}, vectors, backend.identity)
        table.save(folder, ("npz",), small)
    return len(missing)


class KeywordMatch:
    """How near a text is to the nearest keyword or genre of each movie.

    words, vectors: as `load_keywords` returns them.  Cost of `best`: O(n_keywords d).
    """

    def __init__(self, catalog: Catalog, words: list[str], vectors: np.ndarray) -> None:
        number = {word: i for i, word in enumerate(words)}
        self._blocks = np.array_split(vectors, 1 + len(vectors) // 1024)  # as float32, all would be 20 MB
        lengths = [np.linalg.norm(block.astype(np.float32), axis=1) for block in self._blocks]
        self._lengths = np.maximum(np.concatenate(lengths), 1e-9)
        row_of, n = {movie_id: row for row, movie_id in enumerate(catalog.movie_ids.tolist())}, max(1, len(words))
        pairs = (row_of[movie_id] * n + number[word] for movie_id, word in catalog.keywords() if word in number)
        known = [column for column, name in enumerate(catalog.genre_names) if name in number]
        rows, columns = np.nonzero(catalog.genres[:, known])
        of_genre = np.array([number[catalog.genre_names[column]] for column in known], np.int64)
        coded = np.sort(np.concatenate((np.fromiter(pairs, np.int64), rows * n + of_genre[columns])))
        self._numbers = coded % n
        self._known, self._starts = np.unique(coded // n, return_index=True)
        self._n_movies = len(catalog)

    def best(self, x: np.ndarray) -> np.ndarray:
        """Return max of x . x_k over the keywords and genres k of each movie, (n_movies,) float32; 0 without any."""
        nearest = np.zeros(self._n_movies, dtype=np.float32)
        if len(self._known):
            cosines = np.concatenate([block.astype(np.float32) @ x for block in self._blocks]) / self._lengths
            nearest[self._known] = np.maximum.reduceat(cosines[self._numbers], self._starts)
        return nearest
