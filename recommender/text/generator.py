"""Everything that is embedded, in two calls: movies, then people.

    generator = TasteEmbeddingGenerator(TasteEmbeddingConfig(backend_type="local"))
    movies = generator.build_movie_embeddings()       # movie_embeddings.npz, .csv
    people = generator.build_user_embeddings()       # user_embeddings.npz, .csv

Both are stored under `output`. Movies that are there already are not embedded again. Of the local backend, the fitted
model lies beside its vectors, in `model/`: it is fitted once, so that movies which come later fit in with the others,
and again only when asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from ..data import artifacts
from ..data.errors import ArtifactError, DataError
from ..data.interactions import Interactions
from ..data.splits import load_all
from .backends.http import HttpBackend
from .backends.local import LocalBackend
from .base import BaseEmbeddingBackend, Identity
from .config import HTTP, SENTENCE_TRANSFORMERS, TasteEmbeddingConfig
from .dialogue_profiles import embed_profiles, gather
from .dialogues import read_dialogues
from .mix import mix_people
from .movie_embeddings import AT_ONCE, KIND, REMEDY, STEM, MovieEmbeddings, Plan, embed, plan, refuse_mismatch
from .movie_sources import MOVIELENS, Movies, join, read_source
from .people import AVERAGE, UserVectors, UserVectorSettings, user_vectors
from .registry import DEFAULT_BACKEND, make_backend
from .user_embeddings import UserEmbeddings

DIALOGUE_ENDINGS = (".json", ".jsonl", ".tsv")
MODEL = "model"  # the folder, beside the vectors, of a fitted local model

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


class TasteEmbeddingGenerator:
    """Builds what a `TasteEmbeddingConfig` says.

    force: fit and embed everything anew, whatever is stored.  say, progress: told what happens, and how many of how
    many texts are done.  backend: in place of the configured one.
    """

    def __init__(
        self,
        config: TasteEmbeddingConfig,
        force: bool = False,
        say: Say = lambda line: None,
        progress: Optional[Progress] = None,
        backend: Optional[BaseEmbeddingBackend] = None,
    ) -> None:
        self.config = config
        self.force = force
        self._say = say
        self._progress = progress
        self._backend = backend
        self._fitted: Optional[LocalBackend] = None  # anew, and not stored yet

    def read_movies(self) -> Movies:
        """Read the configured sources."""
        lists = {name: read_source(name, path) for name, path in self.config.sources().items()}
        movies = join(lists.values())
        counts = ", ".join(f"{len(lines):,} of {name}" for name, lines in lists.items())
        self._say(f"{counts}: {len(movies.texts):,} different movies")
        return movies

    def stored(self) -> Optional[MovieEmbeddings]:
        """Return what earlier runs stored; None where there is nothing."""
        folder = self.config.folder
        if self.force or not artifacts.has_manifest(folder):
            return None
        return MovieEmbeddings.load(folder)

    def build_movie_embeddings(self) -> MovieEmbeddings:
        """Embed the movies that are new or changed, store all, and return them.

        Raises `ArtifactError` where vectors of another backend, model or dimension are stored.
        """
        config = self.config
        artifacts.need_folder(config.folder, kind=KIND)
        work, backend = self.plan()
        # the http backend cuts into batches, keeps what it got and reports progress itself
        at_once = max(len(work.missing), 1) if backend.name == HTTP else max(config.batch_size, AT_ONCE)
        found = embed(work, backend, at_once, None if backend.name == HTTP else self._progress)
        if not work.missing and self._unchanged(found):
            self._say(f"nothing has changed in {config.folder}")
        else:
            found.save(config.folder, config.forms, config.half, config.with_texts)
            self._say(f"stored in {config.folder}")
        if self._fitted:
            # Last, so that a run which is stopped or refused earlier leaves model and vectors that fit each other.
            self._fitted.save(config.folder / MODEL)
            self._fitted = None
        return found

    def build_user_embeddings(
        self, path: Union[str, Path, None] = None, dialogues: Sequence[Union[str, Path]] = (), method: str = AVERAGE
    ) -> UserEmbeddings:
        """Make vectors of people from their ratings, from what they said, or from both; store and return them.

        path: a processed folder (None: that of the project), whose train, val and test count together; a `.csv` with
        userId, movieId, rating and timestamp; or a file of dialogues, and then no ratings count.  dialogues: files of
        them, beside the ratings.  method: of `users.METHODS`.  Ratings are of movies
        of the source `movielens`, or of the first where none is called so.
        Raises `ArtifactError` where no movies are stored, or by another model.
        """
        config = self.config
        ratings = None if path is None else Path(path)
        spoken = [Path(file) for file in dialogues]
        if ratings is not None and ratings.suffix.lower() in DIALOGUE_ENDINGS:
            spoken, ratings = [ratings, *spoken], None
        elif ratings is None:
            ratings = config.processed
        movies = MovieEmbeddings.load(config.folder)
        self._refuse_other_backend(movies)
        ids: Sequence[object] = ()
        vectors = said = np.zeros((0, movies.identity.dimension), dtype=np.float32)
        speakers: list[str] = []
        if ratings is not None:
            settings = UserVectorSettings(
                method=method, rating_threshold=config.rating_threshold, min_movies=config.min_movies
            )
            people = self._rated(read_ratings(ratings), movies, settings)
            ids, vectors = people.user_ids.tolist(), people.vectors
        if spoken:
            backend = self.backend()
            refuse_mismatch(config.folder, movies.identity, backend.identity)
            profiles = gather([dialogue for file in spoken for dialogue in read_dialogues(file)])
            speakers, said = embed_profiles(profiles, backend)
            silent = f", {profiles.n_silent:,} dialogues without a word of theirs" if profiles.n_silent else ""
            self._say(f"{len(speakers):,} people from what they said{silent}")
        mixed = mix_people(ids, vectors, speakers, said, config.alpha)
        about = {
            "method": method,
            "rating_threshold": config.rating_threshold,
            "min_movies": config.min_movies,
            "alpha": config.alpha,
        }
        found = UserEmbeddings.from_mixed(movies.identity, mixed, about)
        found.save(config.folder, config.forms, config.half)
        self._say(f"{len(found):,} people stored in {config.folder}")
        return found

    def _rated(self, data: Interactions, movies: MovieEmbeddings, settings: UserVectorSettings) -> UserVectors:
        sources = self.config.sources()
        source = MOVIELENS if MOVIELENS in sources else next(iter(sources))
        aligned = movies.vectors_for(data.movie_ids.tolist(), source)
        people = user_vectors(data, aligned, settings, np.random.default_rng(0))
        self._say(f"{len(people.user_ids):,} of {data.n_users:,} people by {settings.method} of their ratings")
        for reason, n_people in people.left_out.items():
            if n_people:
                self._say(f"  left out: {n_people:,}, {reason}")
        if people.fallbacks:
            self._say(f"  {people.fallbacks:,} of them by the average, having no rating above their mean that counts")
        return people

    def plan(self) -> tuple[Plan, BaseEmbeddingBackend]:
        """Return what `build_movie_embeddings` would do; embeds nothing and stores nothing."""
        movies = self.read_movies()
        stored = self.stored()
        self._refuse_other_backend(stored)
        backend = self.backend(movies.texts)
        if stored:
            expected = _expected(backend, stored.identity)
            if expected.backend == DEFAULT_BACKEND and expected != stored.identity:
                stored = None  # a run that fitted the model anew was stopped between storing vectors and model
            else:
                refuse_mismatch(self.config.folder, stored.identity, expected)
        work = plan(movies, stored)
        self._say(f"{backend.name}: {len(work.missing):,} texts to embed")
        return work, backend

    def backend(self, texts: Sequence[str] = ()) -> BaseEmbeddingBackend:
        """Return the configured backend; a local one that was not fitted before is fitted on `texts`."""
        if self._backend is None:
            self._backend = self._make_backend(texts)
        return self._backend

    def _make_backend(self, texts: Sequence[str]) -> BaseEmbeddingBackend:
        config = self.config
        settings = dict(config.backend_settings)
        if config.backend_type == DEFAULT_BACKEND:
            return self._local_backend(texts, settings)
        if config.backend_type == HTTP:
            settings = {"model": config.openai_model, "batch_size": config.batch_size, **settings}
        elif config.backend_type == SENTENCE_TRANSFORMERS:
            chosen = {"model_name": config.model_name} if config.model_name else {}
            settings = {"batch_size": config.batch_size, **chosen, **settings}
        return make_backend(config.backend_type, **settings)

    def _local_backend(self, texts: Sequence[str], settings: dict[str, Any]) -> LocalBackend:
        folder = self.config.folder / MODEL
        if artifacts.has_manifest(folder) and not (self.force and texts):
            model = LocalBackend.load(folder)
            for name, value in settings.items():
                if getattr(model.settings, name) != value:
                    raise ArtifactError(
                        f"{folder} was fitted with {name} {getattr(model.settings, name)}, not {value}: fit it again "
                        "with --force, or give another --output"
                    )
            return model
        if not texts:
            raise ArtifactError(f"no fitted model in {folder}: embed movies first")
        model = LocalBackend.fit(texts, **settings)
        self._say(f"fitted on {len(texts):,} texts: {len(model.fitted.hashes):,} words and groups of letters")
        self._fitted = model
        return model

    def _refuse_other_backend(self, stored: Optional[MovieEmbeddings]) -> None:
        """Refuse vectors of another backend before a model is loaded or a service is asked."""
        if stored and self._backend is None and stored.identity.backend != self.config.backend_type:
            wanted = stored.identity._replace(backend=self.config.backend_type)
            refuse_mismatch(self.config.folder, stored.identity, wanted)

    def _unchanged(self, found: MovieEmbeddings) -> bool:
        """Tell whether `found` is stored already, in every form that is wanted and no other."""
        stored = self.stored()
        if stored is None or stored.identity != found.identity or stored.has_texts != self.config.with_texts:
            return False
        same = found.columns() == stored.columns() if stored.has_texts else found.ids() == stored.ids()
        if not same or not np.array_equal(found.text_hash, stored.text_hash):
            return False
        files = artifacts.read_manifest(self.config.folder, KIND, REMEDY)["files"]
        return {Path(name).suffix[1:] for name in files if name.startswith(STEM)} == set(self.config.forms)


def _expected(backend: BaseEmbeddingBackend, stored: Identity) -> Identity:
    """Return the identity of `backend`; a service is believed that its vectors still have the stored length."""
    if isinstance(backend, HttpBackend):
        return Identity(HTTP, backend.settings.model, backend.settings.dimensions or stored.dimension)
    return backend.identity


def read_ratings(path: Path) -> Interactions:
    """Return all ratings of a processed folder, or those of a `.csv`; raises `DataError` for a bad file.

    Timestamps of a `.csv` are seconds, or dates as `preprocess` writes them.
    """
    if path.suffix.lower() != ".csv":
        return load_all(path)
    import pandas as pd

    columns = ["userId", "movieId", "rating", "timestamp"]
    try:
        frame = pd.read_csv(path, usecols=columns)
        if frame.isna().any(axis=None):
            raise ValueError("a cell is empty or no number")
        if frame["timestamp"].dtype.kind not in "iuf":
            dates = pd.to_datetime(frame["timestamp"].astype(str), utc=True, format="ISO8601")
            frame["timestamp"] = dates.dt.tz_localize(None).to_numpy("datetime64[s]").astype(np.int64)
        if frame["rating"].max() > 5:
            raise ValueError(f"a rating is {frame['rating'].max():g}, they go up to 5")
        return Interactions.from_columns(*(frame[name].to_numpy() for name in columns))
    except FileNotFoundError:
        raise DataError(f"no ratings at {path}: give a processed folder or a .csv") from None
    except (ValueError, TypeError, OverflowError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{path} is no table of ratings ({first}): give {','.join(columns)}, all numbers") from None
