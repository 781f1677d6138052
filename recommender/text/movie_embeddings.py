"""The vectors of movies, stored: every line of every source with the vector of its movie.

    embedding[i] = backend(embedding_text of the movie of line i), float16 or float32, scaled to length 1

What is stored remembers backend, model and dimension, and the sha256 of every text. So a second run embeds only the
texts that are new or have changed, and vectors of another model are refused, never mixed in.

Files of a folder: `movie_embeddings.npz`, `.csv` and `.parquet` (see `vector_files`) and the manifest, replaced
together or not at all. The columns are movie_id, source, key, metadata (a JSON object), embedding_text, embedding; the
`.npz` has text_hash besides.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from ..data import artifacts
from ..data.catalog import Movie
from ..data.errors import ArtifactError, ChoiceError, DataError
from ..linalg.rows import unit_rows
from .base import BaseEmbeddingBackend, Identity
from .movie_sources import MOVIELENS, Movies
from .movie_text import text_hash
from .vector_files import DEFAULT_FORMS, check_forms, read_columns, write_table

KIND = "taste-embeddings"
MOVIES, USERS, FUSED = "movies", "users", "fused"  # the steps of the manifest
STEM = "movie_embeddings"
FILE = f"{STEM}.npz"
REMEDY = "python -m model.generate_embeddings --force"
AT_ONCE = 1024  # texts between two reports of progress

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MovieEmbeddings:
    """Lines of movies with vectors, in the order of their sources.

    movie_id, source, key: (n,) texts; lines of one movie have one key.  text_hash: (n,) sha256 of `embedding_text`.
    embedding: (n, d) float32, rows of length 1, or zeros where the text says nothing to the backend.
    """

    identity: Identity
    movie_id: np.ndarray
    source: np.ndarray
    key: np.ndarray
    text_hash: np.ndarray
    embedding: np.ndarray
    metadata: Sequence[str] = ()
    embedding_text: Sequence[str] = ()
    folder: Optional[Path] = None
    has_texts: bool = True

    def __len__(self) -> int:
        return len(self.movie_id)

    @classmethod
    def load(cls, folder: Path, identity: Optional[Identity] = None) -> MovieEmbeddings:
        """Read what `save` wrote; texts and metadata are left on the disk until `with_texts` is called.

        identity: of the backend that the vectors will be compared with; others are refused.
        Raises `ArtifactError` for files that are missing, damaged, or of another backend, model or dimension.
        """
        manifest = artifacts.read_manifest(folder, KIND, REMEDY)
        stored = _identity(folder, manifest)
        if identity is not None:
            refuse_mismatch(folder, stored, identity)
        artifacts.check_files(folder, manifest, [FILE], REMEDY)
        names = ("movie_id", "source", "key", "text_hash", "embedding")
        arrays = read_columns(folder / FILE, manifest["files"][FILE], names, REMEDY)
        embedding = arrays.pop("embedding")
        if embedding.ndim != 2 or embedding.shape[1] != stored.dimension:
            raise ArtifactError(f"{folder / FILE} is damaged (vectors of shape {embedding.shape}): run {REMEDY}")
        if embedding.dtype != np.float32:
            embedding = unit_rows(embedding.astype(np.float32))
        has_texts = "metadata" in manifest["files"][FILE]["arrays"]
        return cls(stored, **arrays, embedding=embedding, folder=folder, has_texts=has_texts)

    def save(
        self, folder: Path, forms: Sequence[str] = DEFAULT_FORMS, half: bool = False, with_texts: bool = True
    ) -> None:
        """Write all files or none; vectors of people, made from movies that are now replaced, are removed.

        forms: of `vector_files.FORMS`.  half: store vectors in 16 bits, which moves a cosine by less than 0.001.
        with_texts: store metadata and texts too, which make up half of the files.
        """
        check_forms(forms)
        columns = self.columns() if with_texts else self.ids()
        with artifacts.replace_set(folder, KIND, MOVIES, self.identity._asdict()) as stage:
            inside = {"text_hash": self.text_hash.tolist()}
            write_table(stage, STEM, columns, self.embedding, forms, half, inside)

    def with_texts(self) -> MovieEmbeddings:
        """Return the same with `metadata` (JSON texts) and `embedding_text` read from the disk too."""
        if self.folder is None or self.embedding_text:
            return self
        if not self.has_texts:
            raise ArtifactError(f"{self.folder / FILE} was stored without texts: run {REMEDY}, without --no-texts")
        entry = artifacts.read_manifest(self.folder, KIND, REMEDY)["files"][FILE]
        texts = read_columns(self.folder / FILE, entry, ("metadata", "embedding_text"), REMEDY)
        return dataclasses.replace(self, **{name: array.tolist() for name, array in texts.items()})

    def ids(self) -> dict[str, Sequence[str]]:
        """Return the columns movie_id, source and key."""
        return {"movie_id": self.movie_id.tolist(), "source": self.source.tolist(), "key": self.key.tolist()}

    def columns(self) -> dict[str, Sequence[str]]:
        """Return all columns but the vectors, one text for each line."""
        whole = self.with_texts()
        return {**self.ids(), "metadata": whole.metadata, "embedding_text": whole.embedding_text}

    @functools.cached_property
    def _rows(self) -> dict[tuple[str, str], int]:
        return {pair: row for row, pair in enumerate(zip(self.source.tolist(), self.movie_id.tolist()))}

    def row_of(self, movie_id: object, source: str = MOVIELENS) -> int:
        """Return the line of a movie; raises `ChoiceError` where there is none."""
        try:
            return self._rows[source, str(movie_id)]
        except KeyError:
            raise ChoiceError(f"no vector for movie {movie_id!r} of source {source!r}: embed it first") from None

    def vectors_for(self, movie_ids: Sequence[object], source: str = MOVIELENS) -> np.ndarray:
        """Return (len(movie_ids), d) float32: the vector of each movie of `source`, zeros where there is none."""
        found = np.zeros((len(movie_ids), self.embedding.shape[1]), dtype=np.float32)
        for place, movie_id in enumerate(movie_ids):
            row = self._rows.get((source, str(movie_id)))
            if row is not None:
                found[place] = self.embedding[row]
        return found


class Plan(NamedTuple):
    """What there is to do: the vectors that are there already, and the movies whose texts must be embedded.

    hashes: sha256 of the text of each movie.  known: sha256 -> vector, all by the model `identity` (None: no vectors).
    missing: rows of `movies.texts`, one for each text that has no vector.  folder: where the known ones come from.
    """

    movies: Movies
    hashes: list[str]
    known: dict[str, np.ndarray]
    missing: list[int]
    identity: Optional[Identity]
    folder: Optional[Path]


def plan(movies: Movies, stored: Optional[MovieEmbeddings]) -> Plan:
    """Compare texts with what is stored. Equal texts of several movies are embedded once."""
    known = dict(zip(stored.text_hash.tolist(), stored.embedding)) if stored else {}
    hashes = [text_hash(text) for text in movies.texts]
    first = {hashed: row for row, hashed in reversed(list(enumerate(hashes)))}
    missing = sorted(row for hashed, row in first.items() if hashed not in known)
    return Plan(movies, hashes, known, missing, stored.identity if stored else None, stored.folder if stored else None)


def embed(
    work: Plan, backend: BaseEmbeddingBackend, at_once: int = AT_ONCE, progress: Optional[Progress] = None
) -> MovieEmbeddings:
    """Embed what is missing, `at_once` texts in a call, and return all lines.

    progress: called with how many texts are done and how many there are, after each call.
    Raises `DataError` where the backend returns other than one finite row of its dimension for each text, and
    `ArtifactError` where the known vectors are of another model. Where nothing is missing, the backend is not asked.
    """
    movies, hashes, known, missing, identity, folder = work
    vectors = {hashed: known[hashed] for hashed in hashes if hashed in known}
    for low in range(0, len(missing), at_once):
        rows = missing[low : low + at_once]
        found = backend.embed_texts([movies.texts[row] for row in rows])
        if folder and identity:
            refuse_mismatch(folder, identity, backend.identity)
        identity = backend.identity  # a service tells the length of its vectors with the first of them
        if found.shape != (len(rows), identity.dimension) or not np.isfinite(found).all():
            expected = f"{len(rows)} finite rows of {identity.dimension}"
            raise DataError(f"backend {identity.backend} returned {found.shape}, expected {expected}: check its model")
        vectors.update(zip((hashes[row] for row in rows), found))
        if progress:
            progress(low + len(rows), len(missing))
    identity = identity or backend.identity
    of_line = [hashes[row] for row in movies.movie]
    embedding = np.array([vectors[hashed] for hashed in of_line], dtype=np.float32)
    return MovieEmbeddings(
        identity,
        movie_id=np.array([line.movie_id for line in movies.lines], dtype=np.str_),
        source=np.array([line.source for line in movies.lines], dtype=np.str_),
        key=np.array(movies.keys, dtype=np.str_),
        text_hash=np.array(of_line, dtype=np.str_),
        embedding=embedding.reshape(len(of_line), identity.dimension),
        metadata=[metadata(line.movie) for line in movies.lines],
        embedding_text=[movies.texts[row] for row in movies.movie],
    )


def refuse_mismatch(folder: Path, stored: Identity, wanted: Identity) -> None:
    """Raise `ArtifactError`, saying what differs, where vectors of `stored` cannot go with those of `wanted`."""
    for name, old, new in zip(Identity._fields, stored, wanted):
        if old != new:
            raise ArtifactError(
                f"{folder} holds vectors of {name} {old}, not {new}, and the two can't be compared: embed all movies "
                "again with --force, or give another --output"
            )


def metadata(movie: Movie) -> str:
    """Return what is known of a movie, without the ids that have columns, as a JSON object."""
    fields = dataclasses.asdict(movie)
    left_out = ("movie_id", "n_ratings")
    known = {name: value for name, value in fields.items() if value and name not in left_out}
    return json.dumps(known, ensure_ascii=False)


def _identity(folder: Path, manifest: dict[str, Any]) -> Identity:
    said = manifest["settings"].get(MOVIES, {})
    values = tuple(said.get(name) for name in Identity._fields)
    backend, model, dimension = values
    if not (isinstance(backend, str) and isinstance(model, str) and isinstance(dimension, int)):
        raise ArtifactError(f"{folder} does not say which model its vectors are of: run {REMEDY}")
    return Identity(backend, model, dimension)
