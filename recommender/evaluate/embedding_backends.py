"""Backends to compare: by name and settings, random directions as the control, and the vectors of all movies of each.

A movie's vector is taken from where it is stored if the same model made it from the same text; only the others are
embedded, so that comparing the shipped vectors costs little.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.artifacts import has_manifest, load_npz, replace_file
from ..data.errors import ArtifactError, ChoiceError, SettingsError
from ..linalg.rows import unit_rows
from ..text import registry
from ..text.backends.local import LocalBackend
from ..text.base import BaseEmbeddingBackend, Identity
from ..text.movie_embeddings import MovieEmbeddings
from ..text.movie_text import text_hash
from .work import read_pairs

_PAIR = re.compile(r":(?=[a-z_]+=)")  # addresses in settings hold colons too


class RandomVectors(BaseEmbeddingBackend):
    """A direction drawn for each text, the same for the same text: what any backend must beat."""

    name = "random"

    def __init__(self, dimension: int = 256, seed: int = 0) -> None:
        for what, value, least in (("dimension", dimension, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or value < least:
                raise SettingsError(f"{what} of random vectors {value!r}: give a whole number from {least}")
        self.dimension, self.seed = dimension, seed

    @property
    def identity(self) -> Identity:
        return Identity(self.name, f"seed-{self.seed}", self.dimension)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32."""
        seeds = [[self.seed, int(text_hash(text)[:16], 16)] for text in texts]
        drawn = [np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds]
        return unit_rows(np.array(drawn).reshape(len(texts), self.dimension))


@dataclass(frozen=True)
class BackendSpec:
    """A backend and its settings; `label` is what tables call it."""

    label: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> BackendSpec:
        """Read `name:key=value:key=value`; raises `ChoiceError` for another form or a name that does not exist.

        >>> BackendSpec.parse("http:base_url=http://localhost:8000/v1:dimensions=64").settings
        {'base_url': 'http://localhost:8000/v1', 'dimensions': 64}
        """
        name, *pairs = _PAIR.split(text)
        known = (*registry.names(), RandomVectors.name)
        if name not in known:
            raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(known)}")
        return cls(text, name, read_pairs(f"backend {text!r}", name, pairs))

    def make(self, texts: Sequence[str]) -> BaseEmbeddingBackend:
        """Return the backend; `local` with settings is fitted to `texts` anew, without settings it is the shipped one.

        Raises `SettingsError` for a setting that it does not have.
        """
        if self.name == LocalBackend.name and self.settings:
            return LocalBackend.fit(texts, **self.settings)
        try:
            if self.name == RandomVectors.name:
                return RandomVectors(**self.settings)
            return registry.make_backend(self.name, **self.settings)
        except TypeError as error:
            raise SettingsError(f"backend {self.label!r}: {error}") from None


class MovieVectors(NamedTuple):
    """vectors: (n_movies, d).  n_embedded: how many texts were embedded now, in `seconds`."""

    vectors: np.ndarray
    n_embedded: int
    seconds: float


def movie_vectors(
    backend: BaseEmbeddingBackend,
    texts: Sequence[str],
    stored: Optional[Path] = None,
    checkpoint: Optional[Path] = None,
) -> MovieVectors:
    """Return the vectors of all movies' texts.

    stored: a folder that may hold `movie_embeddings`; vectors of another model or of other texts are not taken.
    checkpoint: a folder; what is found there is not embedded again, what is embedded is left there.
    """
    identity = backend.identity
    hashes = [text_hash(text) for text in texts]
    digest = hashlib.sha256(repr([identity, hashes]).encode()).hexdigest()[:24]
    kept = checkpoint / f"vectors-{identity.backend}-{digest}.npz" if checkpoint else None
    if kept is not None and kept.is_file():
        try:
            found = load_npz(kept, {"vectors": np.float32})["vectors"]
            if found.shape == (len(texts), identity.dimension):
                return MovieVectors(found, 0, 0.0)
        except ArtifactError:
            pass  # a damaged checkpoint is as good as none
    known = _stored(stored, identity)
    missing = [row for row, hashed in enumerate(hashes) if hashed not in known]
    started = time.perf_counter()
    new = backend.embed_texts([texts[row] for row in missing]) if missing else np.empty((0, identity.dimension))
    seconds = time.perf_counter() - started
    vectors = np.zeros((len(texts), identity.dimension), dtype=np.float32)
    vectors[missing] = new
    for row, hashed in enumerate(hashes):
        if hashed in known:
            vectors[row] = known[hashed]
    if kept is not None:
        with replace_file(kept) as temporary, open(temporary, "wb") as file:
            np.savez(file, vectors=vectors)
    return MovieVectors(vectors, len(missing), seconds)


def _stored(folder: Optional[Path], identity: Identity) -> dict[str, np.ndarray]:
    """Return text hash -> vector of what `folder` holds of this very model."""
    if folder is None or not has_manifest(folder):
        return {}
    movies = MovieEmbeddings.load(folder)
    return dict(zip(movies.text_hash.tolist(), movies.embedding)) if movies.identity == identity else {}
