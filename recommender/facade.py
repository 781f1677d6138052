"""The public API: open the data, search, start a session, find similar movies."""

from __future__ import annotations

import contextlib
import functools
import numbers
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

import numpy as np

from .data import artifacts
from .data.catalog import Catalog, Movie
from .data.errors import ArtifactError, ChoiceError, shown, whole
from .data.interactions import Interactions
from .data.settings import default_folder, read_settings
from .data.splits import PARTS, load_all, load_split
from .data.titles import TitleIndex
from .learn.base import DEFAULT_METHOD, Ranker
from .learn.svd import USERS, SvdModel
from .linalg.rows import top_n, unit_rows
from .session import gaussian
from .session.engine import SessionEngine
from .session.policy import CONDITIONAL_GAUSSIAN, MOVING_AVERAGE, MovieFilter, PolicySettings
from .session.rules import LearningRule, MovingAverage
from .session.session import Session
from .session.similar import SimilarMovies
from .session.state import TextSignal
from .text.registry import LOCAL, stored_backend

if TYPE_CHECKING:  # imported on first use
    from .session.texts import FreeText

SVD, TWO_TOWER = VECTORS = ("svd", "two_tower")
LATEST = 2**32  # seconds; a larger value is in milliseconds


class Similar(NamedTuple):
    movie: Movie
    similarity: float  # in standard deviations over all movies
    by: str  # "people" if the ratings speak for it more than the "texts"


class Fit(NamedTuple):
    movie: Movie
    fit: float  # comparable only for the same description


class Ranked(NamedTuple):
    movie: Movie
    score: float  # not comparable between methods


@dataclass(eq=False, repr=False)
class Recommender:
    """Recommendations from one processed data set; open it with `Recommender.load()`. It can be pickled and is
    thread-safe: a model is fitted once."""

    catalog: Catalog
    movie_vectors: np.ndarray  # (n_movies, k) float32
    policy: PolicySettings
    rule: LearningRule  # learning rule of sessions
    folder: Path  # processed folder with ratings and text vectors
    backend: str  # of text/registry.py, for words
    backend_settings: Mapping[str, Any]
    notes: Sequence[str] = ()  # warnings about missing parts

    def __post_init__(self) -> None:
        self._models: dict[str, Ranker] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Recommender, tuple(getattr(self, field.name) for field in fields(self))

    @classmethod
    def load(
        cls,
        path: Union[str, Path, None] = None,
        policy: Union[PolicySettings, str, Path, None] = None,
        backend: Optional[str] = None,
        vectors: str = SVD,
        backend_settings: Optional[Mapping[str, Any]] = None,
    ) -> Recommender:
        """Open a processed folder, by default the shipped data.

        policy: settings, or the path of a YAML file, by default the shipped one.
        backend, backend_settings: embedding backend for words (text/registry.py) and its settings, such as base_url and
        model of "http"; movie vectors of this backend must be stored (None: minilm, or local if only its are).
        vectors: "svd", or "two_tower" for those of the movie tower, with the moving average as learning rule.
        Raises `ArtifactError` for missing or damaged data, `SettingsError` for a bad policy file.
        """
        if not isinstance(vectors, str) or vectors not in VECTORS:
            raise ChoiceError(f"vectors {shown(vectors)}: give one of {', '.join(VECTORS)}")
        folder = _path(path, "folder") or default_folder("processed")
        if not isinstance(policy, PolicySettings):
            file = _path(policy, "policy") or default_folder("config") / "recommender_policy.yaml"
            policy = read_settings(PolicySettings, file)
        settings = {} if backend_settings is None else backend_settings
        if not isinstance(settings, Mapping):
            raise ChoiceError(f"backend_settings {shown(settings)}: give a dict, such as base_url and model")
        catalog, backend = Catalog.load(folder), stored_backend(folder) if backend is None else backend
        if vectors == SVD:
            return _open_svd(folder, catalog, policy, backend, settings)
        from .learn.two_tower.model import TwoTower
        from .session.fitted_rules import two_tower_rule

        model = TwoTower.load(folder / "artifacts" / TwoTower.folder, catalog)
        if artifacts.has_manifest(folder):
            parts = [load_split(folder, part) for part in PARTS]
            counts = [part.movie_counts() for part in parts]
            sums = sum(part.movie_means() * of_part for part, of_part in zip(parts, counts))
            total = np.sum(counts, axis=0)
            catalog = catalog.with_counts(total, sums / np.maximum(total, 1))
        policy = replace(policy, learning_rule=MOVING_AVERAGE)
        return cls(catalog, model.movie_vectors_, policy, two_tower_rule(model, policy), folder, backend, settings)

    @functools.cached_property
    def titles(self) -> TitleIndex:
        """The title index."""
        return TitleIndex(self.catalog)

    @functools.cached_property
    def free_text(self) -> FreeText:
        """The text encoder, opened on first use."""
        from .session.texts import FreeText

        given = (self.folder, self.catalog, self.rule, self.backend, self.backend_settings)
        return FreeText.load(*given, lambda name: self.titles.called(name), lambda row: self._similar.scores(row))

    @functools.cached_property
    def _similar(self) -> SimilarMovies:
        from .session.cold_start import load_texts

        people, texts = unit_rows(self.movie_vectors), []
        if isinstance(self.rule, gaussian.ConditionalGaussian):
            people = self.rule.movie_vectors / self.rule.deviations[:, None]
        for backend in {LOCAL, self.backend}:
            with contextlib.suppress(ArtifactError):
                texts.append(load_texts(self.folder, self.catalog, backend))
        known = np.where(self.catalog.n_ratings[:, None] > 0, people, 0)
        return SimilarMovies(known, np.hstack(texts) if texts else None)

    @functools.cached_property
    def _history(self) -> Interactions:
        return load_all(self.folder)  # train, val and test

    def search(self, text: str, n: int = 5) -> list[Movie]:
        """Return up to n movies with the best matching titles, best first; [] if there is none."""
        if not isinstance(text, str):
            raise ChoiceError(f"search({shown(text)}): give a string")
        return [self.catalog.movie(match.row) for match in self.titles.search(text, whole("n", n, least=0))]

    def search_text(self, text: str, n: int = 10) -> list[Fit]:
        """Return the n movies that best fit a description, best first: "a heist in space", "by hitchcock".

        Raises `ChoiceError` for a text without known words, `ArtifactError` without text vectors of the movies.
        """
        n, fit = whole("n", n), self.free_text.rank(text)
        return [Fit(self.catalog.movie(row), float(fit[row])) for row in top_n(fit[None], n)[0].tolist()]

    def encode(self, text: str) -> TextSignal:
        """Encode `text` for a session."""
        return self.free_text.encode(text)

    def session(
        self,
        favorites: Iterable[Union[int, str, Movie]] = (),
        seed: int = 0,
        wanted: Optional[MovieFilter] = None,
        words: Union[str, Sequence[str]] = (),
        familiarity: Optional[float] = None,
    ) -> Session:
        """Start a session from favorites, each a movie id, a title, or a `Movie`, or from words, or from both.

        words: free text, one or several.  wanted: allowed genres and years.  familiarity: 1 = what everybody likes
        first, 0 = what fits this person alone; by default that of the policy.
        Raises `ChoiceError` for an unknown id, a title that matches nothing, a title that could mean several movies
        (the message lists them), and words without known content.

        >>> session = Recommender.load().session(["The Matrix", "Alien", 296, 318])
        >>> movie = session.next()
        >>> session.answer("like")
        """
        if isinstance(favorites, (str, bytes)) or not isinstance(favorites, Iterable):
            raise ChoiceError(f"favorites {shown(favorites)}: give a list of movie ids or titles")
        if isinstance(words, bytes) or not isinstance(words, Iterable):
            raise ChoiceError(f"words {shown(words)}: give a string, or a list of strings")
        seed = whole("seed", seed, least=0)
        rows = [self.row_of(favorite) for favorite in favorites]
        engine = self.engine(wanted)
        if familiarity is not None:
            engine = engine.with_familiarity(familiarity)
        return Session(engine, engine.start(rows, seed, [words] if isinstance(words, str) else list(words)))

    def engine(self, wanted: Optional[MovieFilter] = None) -> SessionEngine:
        """Return the session engine with this recommender's learning rule and policy."""
        if not isinstance(wanted, (MovieFilter, type(None))):
            raise ChoiceError(f"wanted {shown(wanted)}: give a MovieFilter")
        return SessionEngine(self.catalog, self.rule, self.policy, wanted or MovieFilter(), self.encode)

    def row_of(self, movie: Union[int, str, Movie]) -> int:
        """Return the row of a movie, of a movie id, or of an unambiguous title."""
        if isinstance(movie, Movie):
            return self.catalog.row_of(movie.movie_id)
        if isinstance(movie, numbers.Integral) and not isinstance(movie, bool):
            return self.catalog.row_of(int(movie))
        if not isinstance(movie, str):
            raise ChoiceError(f"{shown(movie)} is neither a movie id nor a title: give an int or a str")
        row, candidates = self.titles.resolve(movie)
        if row is not None:
            return row
        if not candidates:
            if reason := self.titles.too_new(movie):
                raise ChoiceError(f"{shown(movie)} {reason}")
            remedy = "try Recommender.search with other words"
            raise ChoiceError(f"no movie like {shown(movie)} in this catalogue: {remedy}")
        found = [self.catalog.movie(match.row) for match in candidates[:5]]
        names = "; ".join(f"{one} [id {one.movie_id}]" for one in found)
        raise ChoiceError(f"{shown(movie)} could be {names}: give the id, or the title with its year")

    def similar_movies(self, movie_id: int, n: int = 10) -> list[Similar]:
        """Return the n movies most like it by people's ratings and by texts (session/similar.py), best first.

        Without text vectors by ratings alone. Movies of which nothing is known are not in it, so it may be shorter.
        """
        row, n = self.catalog.row_of(whole("movie id", movie_id, least=None)), whole("n", n)
        return [Similar(self.catalog.movie(found.row), found.score, found.by) for found in self._similar.search(row, n)]

    def recommend(
        self, user_id: int, n: int = 10, method: str = DEFAULT_METHOD, at: Optional[int] = None
    ) -> list[Ranked]:
        """Return the n best movies for a user whose ratings are in the data, best first.

        method: a model of learn/registry.py, fitted on first use unless `python -m model.train_ranking_model`
        has stored it.  at: seconds since 1970; None is now.  Raises `ChoiceError` for an unknown user or method.

        >>> [str(movie.movie) for movie in Recommender.load().recommend(1, n=1, method="popularity")]
        ['The Shawshank Redemption (1994)']
        """
        from .learn import registry

        n, user_id, method = (
            whole("n", n),
            whole("user_id", user_id, least=None),
            method if isinstance(method, str) else shown(method),
        )
        at = int(time.time()) if at is None else whole("at", at, least=0)
        if at >= LATEST:
            raise ChoiceError(f"at = {shown(at)}: give seconds since 1970")
        with self._lock:  # only one thread reads and fits
            history = self._history
            row = int(np.searchsorted(history.user_ids, user_id))
            if row == history.n_users or history.user_ids[row] != user_id:
                first, last = history.user_ids[0], history.user_ids[-1]
                raise ChoiceError(f"no user {shown(user_id)} in these ratings: their ids run from {first} to {last}")
            if method not in self._models:
                registry.model_class(method)
                self._models[method] = registry.stored_or_fitted(method, self.folder, self.catalog, history)
        ids, scores = self._models[method].recommend(history, [row], min(n, history.n_movies), [at])
        found = zip(ids[0].tolist(), scores[0].tolist())
        return [Ranked(self.catalog.movie(self.catalog.row_of(i)), score) for i, score in found if i >= 0]


def _open_svd(folder: Path, catalog: Catalog, policy: PolicySettings, backend: str, settings: Any) -> Recommender:
    """Open a folder with the vectors of the SVD and the learning rule of the policy."""
    model = SvdModel.load(folder / "artifacts" / "svd", catalog, without=(*USERS, "movie_map.json"))
    counts, vectors = model.movie_counts_, model.movie_vectors(policy.vector_scaling)
    notes, texts = [], None
    if not counts.all():
        from .session.cold_start import fill, fill_gaussian, load_texts

        try:
            texts = load_texts(folder, catalog, backend)
            vectors = fill(texts, vectors, counts)
        except ArtifactError as error:
            notes.append(f"movies without ratings come last: {error}")
    rule: Optional[LearningRule] = None
    artifact = folder / "artifacts" / "session"
    if policy.learning_rule == CONDITIONAL_GAUSSIAN and artifact.is_dir():
        fitted, how = gaussian.load_gaussian(artifact, catalog.movie_ids)
        if texts is not None:
            fitted = fill_gaussian(texts, fitted, counts)
        rule = gaussian.ConditionalGaussian(fitted, how, policy)
    elif policy.learning_rule == CONDITIONAL_GAUSSIAN:
        remedy = f"run {artifacts.command(gaussian.REMEDY, artifact)} for the conditional Gaussian"
        notes.append(f"no {artifact}: sessions learn by the moving average; {remedy}")
    catalog = catalog.with_counts(counts, model.movie_means_ if model.movie_means_.size else None)
    rule = rule or MovingAverage(vectors, policy)
    return Recommender(catalog, vectors, policy, rule, folder, backend, settings, notes)


def _path(value: object, what: str) -> Optional[Path]:
    if not isinstance(value, (str, Path, type(None))):
        raise ChoiceError(f"{what} {shown(value)}: give its path as a str or a Path")
    return None if value is None else Path(value)
