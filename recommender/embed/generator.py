"""Everything that is embedded, in two calls: films, then people.

    generator = TasteEmbeddingGenerator(TasteEmbeddingConfig(backend_type="local"))
    films = generator.build_movie_embeddings()       # movie_embeddings.npz, .csv
    people = generator.build_user_embeddings()       # user_embeddings.npz, .csv

Both are stored under `output`. Films that are there already are not embedded again. Of the local backend, the fitted
model lies beside its vectors, in `model/`: it is fitted once, so that films which come later fit in with the others,
and again only when asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

from .. import artifacts
from ..errors import ArtifactError, ChoiceError, SettingsError
from ..settings import check_value, default_folder
from . import vector_files
from .base import BaseEmbeddingBackend
from .local import LocalBackend, LocalSettings
from .movie_embeddings import AT_ONCE, KIND, REMEDY, STEM, MovieEmbeddings, Plan, embed, plan, refuse_mismatch
from .movie_sources import MOVIELENS, Films, join, read_source
from .registry import DEFAULT_BACKEND, make_backend, names
from .users import UserVectorSettings

HTTP, SENTENCE_TRANSFORMERS = "http", "sentence-transformers"
MODEL = "model"  # the folder, beside the vectors, of a fitted local model

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TasteEmbeddingConfig:
    """What to embed, with what, and where it is stored.

    project_root: where `processed/` and `data/` are looked for; None takes what comes with the library.
    backend_type: a name of `registry.names()`.  model_name: the model of `sentence-transformers`, "" its default.
    openai_model: the model of `http`.  movie_sources: names or `name=path`, or a mapping from name to path; paths are
    relative to `project_root`, and `movielens` alone is the processed folder.  batch_size: texts in one call of a
    model or service.  rating_threshold, min_movies, alpha: see `users` and `mix`.
    output: where results go, by default processed/artifacts/text/<backend_type>.  forms: of `vector_files.FORMS`.
    half: vectors in 16 bits.  backend_settings: further settings of the backend by name (`HttpSettings`,
    `LocalSettings`).  Raises `ChoiceError` or `SettingsError` for what does not exist or is out of range.
    """

    project_root: Union[str, Path, None] = None
    backend_type: str = DEFAULT_BACKEND
    model_name: str = ""
    openai_model: str = "text-embedding-3-large"
    movie_sources: Union[Sequence[str], Mapping[str, Union[str, Path]]] = (MOVIELENS,)
    batch_size: int = 64
    rating_threshold: float = 4.0
    min_movies: int = 3
    alpha: float = 0.7
    output: Union[str, Path, None] = None
    forms: Sequence[str] = vector_files.DEFAULT_FORMS
    half: bool = False
    backend_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.backend_type not in names():
            raise ChoiceError(f"no embedding backend is called {self.backend_type!r}: choose from {', '.join(names())}")
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise SettingsError(f"batch_size: {self.batch_size!r} is not a whole number from 1")
        if not 0 <= self.alpha <= 1:
            raise SettingsError(
                f"alpha: {self.alpha!r} is out of range (the share of ratings beside words, from 0 to 1)"
            )
        if isinstance(self.movie_sources, str) or not self.movie_sources:
            raise SettingsError(
                f"movie_sources: {self.movie_sources!r} is no list of names: give for example (movielens,)"
            )
        if self.backend_type == DEFAULT_BACKEND:
            for name, value in self.backend_settings.items():
                check_value(LocalSettings, name, value)
        UserVectorSettings(rating_threshold=self.rating_threshold, min_movies=self.min_movies)
        vector_files.check_forms(self.forms)

    @property
    def processed(self) -> Path:
        return default_folder("processed") if self.project_root is None else Path(self.project_root) / "processed"

    @property
    def folder(self) -> Path:
        """Where results are stored."""
        return Path(self.output) if self.output else self.processed / "artifacts" / "text" / self.backend_type

    def sources(self) -> dict[str, Path]:
        """Return name -> path of the film lists."""
        given = self.movie_sources
        pairs: list[tuple[str, Union[str, Path]]]
        if isinstance(given, Mapping):
            pairs = list(given.items())
        else:
            pairs = [(name, path) for name, _, path in (entry.partition("=") for entry in given)]
        root = Path(self.project_root) if self.project_root is not None else Path()
        found: dict[str, Path] = {}
        for name, path in pairs:
            if name in found:
                raise ChoiceError(f"source {name!r} is given twice: give each its own name")
            found[name] = root / path if str(path) else (self.processed if name == MOVIELENS else root / "data" / name)
        return found


class Built(NamedTuple):
    """What a run did: the stored films, how many films there are, and how many texts were embedded for them."""

    films: MovieEmbeddings
    n_films: int
    n_embedded: int


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

    def read_films(self) -> Films:
        """Read the configured sources."""
        lists = {name: read_source(name, path) for name, path in self.config.sources().items()}
        films = join(lists.values())
        counts = ", ".join(f"{len(lines):,} of {name}" for name, lines in lists.items())
        self._say(f"{counts}: {len(films.texts):,} different films")
        return films

    def stored(self) -> Optional[MovieEmbeddings]:
        """Return what earlier runs stored; None where there is nothing."""
        folder = self.config.folder
        if self.force or not artifacts.has_manifest(folder):
            return None
        return MovieEmbeddings.load(folder)

    def build_movie_embeddings(self) -> MovieEmbeddings:
        """Embed the films that are new or changed, and store all; returns them.

        Raises `ArtifactError` where vectors of another backend, model or dimension are stored.
        """
        return self.update_movie_embeddings().films

    def update_movie_embeddings(self) -> Built:
        """Do the same and return also how much there was to do."""
        config = self.config
        artifacts.need_folder(config.folder)
        films = self.read_films()
        stored = self.stored()
        self._refuse_other_backend(stored)
        backend = self.backend(films.texts)
        identity = backend.identity
        if stored and stored.identity != identity:
            if identity.backend != DEFAULT_BACKEND:
                refuse_mismatch(config.folder, stored.identity, identity)
            stored = None  # a run that fitted the model anew was stopped before it stored the vectors
        work = plan(films, stored)
        self._say(f"{identity.backend} {identity.model}: {len(work.missing):,} texts to embed")
        # the http backend cuts into batches, keeps what it got and reports progress itself
        at_once = max(len(work.missing), 1) if backend.name == HTTP else max(config.batch_size, AT_ONCE)
        found = embed(work, backend, at_once, None if backend.name == HTTP else self._progress)
        if not work.missing and self._unchanged(found, stored):
            self._say(f"nothing has changed in {config.folder}")
            return Built(found, len(films.texts), 0)
        found.save(config.folder, config.forms, config.half)
        self._say(f"stored in {config.folder}")
        return Built(found, len(films.texts), len(work.missing))

    def plan(self) -> tuple[Plan, BaseEmbeddingBackend]:
        """Return what `build_movie_embeddings` would do; embeds nothing and stores nothing."""
        films = self.read_films()
        stored = self.stored()
        self._refuse_other_backend(stored)
        return plan(films, stored), self.backend(films.texts, store=False)

    def backend(self, texts: Sequence[str] = (), store: bool = True) -> BaseEmbeddingBackend:
        """Return the configured backend; a local one that was not fitted before is fitted on `texts` and stored."""
        if self._backend is None:
            self._backend = self._make_backend(texts, store)
        return self._backend

    def _make_backend(self, texts: Sequence[str], store: bool) -> BaseEmbeddingBackend:
        config = self.config
        settings = dict(config.backend_settings)
        if config.backend_type == DEFAULT_BACKEND:
            return self._local_backend(texts, store, settings)
        if config.backend_type == HTTP:
            settings = {"model": config.openai_model, "batch_size": config.batch_size, **settings}
        elif config.backend_type == SENTENCE_TRANSFORMERS:
            chosen = {"model_name": config.model_name} if config.model_name else {}
            settings = {"batch_size": config.batch_size, **chosen, **settings}
        return make_backend(config.backend_type, **settings)

    def _local_backend(self, texts: Sequence[str], store: bool, settings: dict[str, Any]) -> LocalBackend:
        folder = self.config.folder / MODEL
        if not self.force and artifacts.has_manifest(folder):
            model = LocalBackend.load(folder)
            for name, value in settings.items():
                if getattr(model.settings, name) != value:
                    raise ArtifactError(
                        f"{folder} was fitted with {name} {getattr(model.settings, name)}, not {value}: fit it again "
                        "with --force, or give another --output"
                    )
            return model
        if not texts:
            raise ArtifactError(f"no fitted model in {folder}: embed films first")
        model = LocalBackend.fit(texts, **settings)
        self._say(f"fitted on {len(texts):,} texts: {len(model.fitted.hashes):,} words and groups of letters")
        if store:
            model.save(folder)
        return model

    def _refuse_other_backend(self, stored: Optional[MovieEmbeddings]) -> None:
        """Refuse vectors of another backend before a model is loaded or a service is asked."""
        if stored and self._backend is None and stored.identity.backend != self.config.backend_type:
            wanted = stored.identity._replace(backend=self.config.backend_type)
            refuse_mismatch(self.config.folder, stored.identity, wanted)

    def _unchanged(self, found: MovieEmbeddings, stored: Optional[MovieEmbeddings]) -> bool:
        """Tell whether `found` is stored already, in every form that is wanted and no other."""
        if stored is None or found.columns() != stored.columns():
            return False
        files = artifacts.read_manifest(self.config.folder, KIND, REMEDY)["files"]
        return {Path(name).suffix[1:] for name in files if name.startswith(STEM)} == set(self.config.forms)
