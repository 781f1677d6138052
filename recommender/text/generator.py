"""Build and store embeddings of movies and users.

    generator = TasteEmbeddingGenerator(TasteEmbeddingConfig(backend_type="local"))
    movies = generator.build_movie_embeddings()       # movie_embeddings.npz, .csv
    users = generator.build_user_embeddings()         # user_embeddings.npz, .csv

    embedding[i] = backend(embedding_text of movie i)

Both are stored under `output`, with those of genres and keywords by a sentence model. The sha256 of every text is
stored too, so a second run embeds only new and changed texts; vectors of another model are rejected. The model of the
local backend, in `model/` beside its vectors, is fitted once and again only with `force`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from ..data import artifacts
from ..data.errors import ArtifactError, ChoiceError, SettingsError
from ..data.settings import check_value, default_folder
from .backends.local import LocalBackend
from .base import MOVIELENS, BaseEmbeddingBackend, Identity
from .dialogues import ENDINGS, gather, read_dialogues
from .movie_sources import movie_columns, read_source
from .people import AVERAGE, UserVectorSettings, mix_users, read_people, user_vectors
from .registry import DEFAULT_BACKEND, HTTP, LOCAL, SENTENCE_TRANSFORMERS, backend_class, make_backend
from .vectors import DEFAULT_FORMS, MOVIES, USERS, VectorTable, check_forms, refuse_mismatch, store_keywords

MODEL = "model"  # folder of a fitted local model, beside the vectors
_AT_ONCE = 1024  # texts between two reports of progress
_MOST_CSV_LINES = 50_000  # of users, with the default forms

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
Vectors = tuple[list[Any], np.ndarray]  # ids of users, and a row for each


@dataclass(frozen=True)
class TasteEmbeddingConfig:
    """What to embed, with which backend, and where to store it.

    project_root: folder with `processed/` and `data/`; None: the shipped ones.
    backend_type: a name of `registry.names()`.  model_name: the model of `sentence-transformers`.
    openai_model: the model of `http`.  movie_sources: names or `name=path`; paths are relative to `project_root`, and
    `movielens` alone is the processed folder.  batch_size: texts in a call of a model or service.
    rating_threshold, min_movies, alpha: see `people`.  output: folder of the results, by default
    processed/artifacts/text/<backend_type>.  forms: of `vectors.FORMS`; by default, more than 50,000 users get no .csv.
    small: vectors in 8 bits.  with_texts: metadata and texts beside the vectors.
    backend_settings: more settings of the backend by name, fields of its `Settings`.

    Raises `ChoiceError` or `SettingsError` for unknown names and values out of range.
    """

    project_root: Union[str, Path, None] = None
    backend_type: str = DEFAULT_BACKEND
    model_name: str = "BAAI/bge-base-en-v1.5"
    openai_model: str = "text-embedding-3-large"
    movie_sources: Sequence[str] = (MOVIELENS,)
    batch_size: int = 64
    rating_threshold: float = 4.0
    min_movies: int = 3
    alpha: float = 0.7
    output: Union[str, Path, None] = None
    forms: Sequence[str] = DEFAULT_FORMS
    small: bool = False
    with_texts: bool = True
    backend_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = backend_class(self.backend_type).Settings
        for name, value in self.backend_settings.items():
            check_value(known, name, value)
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise SettingsError(f"batch_size: {self.batch_size!r} is not a whole number from 1: give for example 64")
        if isinstance(self.movie_sources, str) or not self.movie_sources:
            raise SettingsError(f"movie_sources: {self.movie_sources!r} is not a list of names: give (movielens,)")
        UserVectorSettings(rating_threshold=self.rating_threshold, min_movies=self.min_movies, alpha=self.alpha)
        check_forms(self.forms)

    @property
    def processed(self) -> Path:
        return default_folder("processed") if self.project_root is None else Path(self.project_root) / "processed"

    @property
    def folder(self) -> Path:
        """Where results are stored."""
        return Path(self.output) if self.output else self.processed / "artifacts" / "text" / self.backend_type

    def sources(self) -> dict[str, Path]:
        """Return name -> path of the movie lists."""
        root, found = Path(self.project_root or ""), dict[str, Path]()
        for entry in self.movie_sources:
            name, _, path = entry.partition("=")
            if name in found:
                raise ChoiceError(f"source {name!r} is given twice: use different names")
            default = self.processed if name == MOVIELENS else root / "data" / name
            found[name] = root / path if path else default
        return found


class TasteEmbeddingGenerator:
    """Builds the embeddings of a `TasteEmbeddingConfig`.

    force: refit and embed everything again.  say: called with messages.  progress: called with the numbers of texts
    done and in all.  backend: replaces the configured one.
    """

    def __init__(
        self,
        config: TasteEmbeddingConfig,
        force: bool = False,
        say: Say = lambda line: None,
        progress: Progress = lambda done, n: None,
        backend: Optional[BaseEmbeddingBackend] = None,
    ) -> None:
        self.config, self.force, self._say, self._progress = config, force, say, progress
        self._backend = backend
        self._fitted: Optional[LocalBackend] = None  # in this run, not yet stored

    def plan(self) -> tuple[dict[str, np.ndarray], dict[str, str], Optional[VectorTable]]:
        """Read the movies and compare their texts with the stored ones; embed and store nothing.

        Returns the columns of all rows, sha256 -> text to embed, and the stored vectors of the same model.
        Raises `ArtifactError` if vectors of another backend, model or dimension are stored.
        """
        config = self.config
        lists = {name: read_source(name, path) for name, path in config.sources().items()}
        columns = movie_columns(lists)
        texts = dict(zip(columns["key"], columns["embedding_text"]))  # one for each movie
        counts = ", ".join(f"{len(movies):,} of {name}" for name, movies in lists.items())
        self._say(f"{counts}: {len(texts):,} different movies")
        fresh = self.force or not artifacts.has_manifest(config.folder)
        stored = None if fresh else self._stored_movies(texts=True)
        backend = self.backend(list(texts.values()))
        if stored and isinstance(backend, LocalBackend) and backend.identity != stored.identity:
            stored = None  # a run was interrupted between storing vectors and model
        if stored and backend.name == HTTP:  # without a call: the stored dimension is assumed
            dimension = backend.settings.dimensions or stored.identity.dimension
            refuse_mismatch(config.folder, stored.identity, Identity(HTTP, backend.settings.model, dimension))
        elif stored:
            refuse_mismatch(config.folder, stored.identity, backend.identity)
        missing = dict(zip(columns["text_hash"], columns["embedding_text"]))  # equal texts are embedded once
        for hashed in stored["text_hash"][stored.embedding.any(axis=1) | (backend.name != HTTP)] if stored else ():
            missing.pop(hashed, None)  # others are zeros, which a service refused
        self._say(f"{backend.name}: {len(missing):,} texts to embed")
        return {name: np.array(column, dtype=np.str_) for name, column in columns.items()}, missing, stored

    def build_movie_embeddings(self) -> VectorTable:
        """Embed new and changed movies, store all, and return them.

        Raises `ArtifactError` if vectors of another backend, model or dimension are stored.
        """
        config = self.config
        VectorTable.check_output(config.folder)
        columns, missing, stored = self.plan()
        vectors = dict(zip(stored["text_hash"].tolist(), stored.embedding)) if stored else {}
        vectors |= self._embed(missing, stored)
        identity = stored.identity if stored else self.backend().identity
        embedding = np.array([vectors[hashed] for hashed in columns["text_hash"].tolist()], dtype=np.float32)
        found = VectorTable(MOVIES, columns, embedding.reshape(-1, identity.dimension), identity)
        if not missing and self._is_stored(found, stored):
            self._say(f"{config.folder} is up to date")
        else:
            found.save(config.folder, config.forms, config.small, config.with_texts)
            self._say(f"stored in {config.folder}")
        if self.backend().in_parts:
            n_new = store_keywords(config.folder, columns["metadata"], self.backend(), config.small, self.force)
            self._say(f"{n_new:,} genres and keywords embedded")
        if self._fitted:  # stored last, so that an interrupted run leaves a matching pair of model and vectors
            self._fitted.save(config.folder / MODEL)
            self._fitted = None
        return found

    def build_user_embeddings(
        self, path: Union[str, Path, None] = None, dialogues: Sequence[Union[str, Path]] = (), method: str = AVERAGE
    ) -> VectorTable:
        """Build user vectors from ratings, from dialogues, or from both; store and return them.

        path: a processed folder (None: that of the project), of which train, val and test are used; a `.csv` with
        userId, movieId, rating and timestamp; or a file of dialogues, without ratings.  dialogues: files used beside
        the ratings.  method: of `people.METHODS`.  Ratings refer to the source `movielens`, or else to the first one.
        Raises `ArtifactError` if no movies are stored, or those of another model.
        """
        config, movies = self.config, self._stored_movies()
        ratings, spoken = Path(config.processed if path is None else path), [Path(file) for file in dialogues]
        nobody: Vectors = [], np.zeros((0, movies.identity.dimension), dtype=np.float32)
        rated = said = nobody
        if ratings.suffix.lower() in ENDINGS:
            spoken.insert(0, ratings)
        else:
            rated = self._from_ratings(ratings, movies, method)
        if spoken:
            said = self._from_dialogues(spoken, movies)
        user_ids, origins, mixed = mix_users(*rated, *said, config.alpha)
        settings = {"method": method, "rating_threshold": config.rating_threshold}
        settings |= {"min_movies": config.min_movies, "alpha": config.alpha}
        found = VectorTable(USERS, {"user_id": user_ids, "origin": origins}, mixed, movies.identity, settings)
        large = config.forms is DEFAULT_FORMS and len(found) > _MOST_CSV_LINES
        if large:
            self._say("  without a .csv, which would be large: --formats npz,csv writes it")
        found.save(config.folder, ("npz",) if large else config.forms, config.small)
        self._say(f"{len(found):,} users stored in {config.folder}")
        return found

    def backend(self, texts: Sequence[str] = ()) -> BaseEmbeddingBackend:
        """Return the configured backend; a local one without a stored model is fitted on `texts`."""
        config, name = self.config, self.config.backend_type
        if self._backend is None and name == LOCAL:
            self._backend = self._local_backend(texts)
        elif self._backend is None:
            models = {HTTP: config.openai_model, SENTENCE_TRANSFORMERS: config.model_name}
            own = {"model": models[name], "batch_size": config.batch_size} if name in models else {}
            self._backend = make_backend(name, **{**own, **config.backend_settings})
        return self._backend

    def _local_backend(self, texts: Sequence[str]) -> LocalBackend:
        folder, settings = self.config.folder / MODEL, self.config.backend_settings
        if artifacts.has_manifest(folder) and not (self.force and texts):
            model = LocalBackend(folder)
            for name, value in settings.items():
                if (was := getattr(model.settings, name)) != value:
                    what = f"{folder} was fitted with {name} {was}, not {value}"
                    raise ArtifactError(f"{what}: refit with --force, or give another --output")
            return model
        if not texts:
            raise ArtifactError(f"no fitted model in {folder}: embed movies first")
        self._fitted = LocalBackend.fit(texts, **settings)
        self._say(f"fitted on {len(texts):,} texts: {len(self._fitted.hashes):,} words and letter groups")
        return self._fitted

    def _stored_movies(self, texts: bool = False) -> VectorTable:
        """Return the stored movies; rejects another backend's before a model is loaded or a service is called."""
        found = VectorTable.load(self.config.folder, MOVIES, texts=texts)
        if self._backend is None:
            wanted = found.identity._replace(backend=self.config.backend_type)
            refuse_mismatch(self.config.folder, found.identity, wanted)
        return found

    def _embed(self, missing: dict[str, str], stored: Optional[VectorTable]) -> dict[str, np.ndarray]:
        """Return the vectors of `missing` by hash; if nothing is missing, the backend is not called."""
        backend, texts = self.backend(), list(missing.values())
        rows: list[np.ndarray] = []
        # The http backend batches, caches and reports progress itself.
        at_once = max(len(texts), 1) if backend.name == HTTP else max(self.config.batch_size, _AT_ONCE)
        for low in range(0, len(texts), at_once):
            rows.extend(backend.embed_movies(texts[low : low + at_once]))
            if stored:  # a service's dimension is known only after the first vectors
                refuse_mismatch(self.config.folder, stored.identity, backend.identity)
            self._progress(len(rows), len(texts))
        return dict(zip(missing, rows))

    def _is_stored(self, found: VectorTable, stored: Optional[VectorTable]) -> bool:
        """Return whether `found` is stored already, in exactly the requested forms."""
        if stored is None or ("metadata" in stored.columns) != self.config.with_texts:
            return False
        forms = {path.suffix[1:] for path in self.config.folder.glob(f"{MOVIES}.*")}
        same = (np.array_equal(column, found[name]) for name, column in stored.columns.items())
        return forms == set(self.config.forms) and all(same)

    def _from_ratings(self, path: Path, movies: VectorTable, method: str) -> Vectors:
        config, sources = self.config, self.config.sources()
        table = read_people(path)
        source = MOVIELENS if MOVIELENS in sources else next(iter(sources))
        settings = UserVectorSettings(method, config.rating_threshold, config.min_movies)
        aligned = movies.vectors_for(table.named("movie", table.ratings.movie_ids), source)
        user_ids, vectors = user_vectors(table.ratings, aligned, settings, np.random.default_rng(0))
        for note in table.notes:
            self._say(f"{path.name}: {note}")
        self._say(f"{len(user_ids):,} of {table.ratings.n_users:,} users from ratings, method {method}")
        if len(user_ids) < table.ratings.n_users:
            self._say(f"  the others like fewer than {config.min_movies} movies that have a vector")
        return table.named("user", user_ids), vectors

    def _from_dialogues(self, files: Sequence[Path], movies: VectorTable) -> Vectors:
        backend = self.backend()
        refuse_mismatch(self.config.folder, movies.identity, backend.identity)
        notes: list[str] = []
        profiles = gather(dialogue for file in files for dialogue in read_dialogues(file, notes=notes))
        for note in notes:
            self._say(f"  {note}")
        vectors = backend.embed_known(list(profiles.values()))
        known, names = np.flatnonzero(vectors.any(axis=1)), list(profiles)  # unknown texts have a row of zeros
        self._say(f"{len(known):,} users from dialogues")
        return [names[row] for row in known], vectors[known]
