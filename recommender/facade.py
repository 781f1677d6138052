"""The public API: open the data, search, start a session, find similar movies."""

from __future__ import annotations

import functools
import numbers
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from . import ranking
from .data.catalog import Catalog, Movie
from .data.errors import ArtifactError, ChoiceError, listed, shown, whole
from .data.interactions import Interactions
from .data.settings import check_value, path_of
from .data.titles import TitleIndex
from .linalg.rows import top_n, unit_rows
from .models import POPULARITY, Models
from .opening import SVD, open_index, open_parts, open_similar
from .ranking import Explanation, Fit, Ranked, Similar
from .session.engine import SessionEngine
from .session.policy import MovieFilter, PolicySettings
from .session.rules import VectorRule
from .session.session import Session
from .session.similar import SimilarMovies
from .session.state import TextSignal
from .text.registry import LOCAL

if TYPE_CHECKING:  # imported on first use
    from .linalg.engine import Engine
    from .retrieve import VectorIndex
    from .session.texts import FreeText


@dataclass(eq=False, repr=False)
class Recommender:
    """Recommendations from one processed data set; open it with `Recommender.load()`.

    Threads may share it: a model is opened or fitted once, by whoever asks first. It is pickled without its models.
    First calls on the shipped data: titles .1 s, similar movies .3 s, words .8 s, `recommend` .1 s, but of what is
    not stored ease and hybrid_quotas 4 s, stacker and hybrid 2 minutes. `warm` does all of it at once."""

    catalog: Catalog
    movie_vectors: np.ndarray  # (n_movies, k) float32
    policy: PolicySettings
    rule: VectorRule  # learning rule of sessions
    folder: Path  # processed folder with ratings and text vectors
    backend: str  # of text/registry.py, for words
    backend_settings: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)  # warnings about missing parts

    def __post_init__(self) -> None:
        self.models = Models(self.folder, self.catalog, self.backend, self._tell)  # by name, and their ratings

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
        return cls(**open_parts(path, policy, backend, vectors, backend_settings))

    @property
    def titles(self) -> TitleIndex:
        """The title index."""
        return self.models.once("titles", lambda: TitleIndex(self.catalog))

    @property
    def free_text(self) -> FreeText:
        """The text encoder, opened on first use."""
        from .session.texts import FreeText

        find = (lambda name: self.titles.called(name), lambda row: self._similar.scores(row))
        given = (self.folder, self.catalog, self.rule, self.backend, self.backend_settings, *find)
        return self.models.once("words", lambda: FreeText.load(*given))

    @property
    def _similar(self) -> SimilarMovies:
        given = self.folder, self.catalog, self.movie_vectors, self.rule, (LOCAL, self.backend)
        return self.models.once("similar", lambda: open_similar(*given))

    @functools.cached_property
    def index(self) -> tuple[VectorIndex, str]:
        """The index of the movies' text vectors, by cosine, and their backend; without any, of the ratings' vectors."""
        return open_index(self.folder, self.catalog, self.backend, self.movie_vectors, self._tell)

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
        if isinstance(words, bytes) or not isinstance(words, Iterable):
            raise ChoiceError(f"words {shown(words)}: give a string, or a list of strings")
        seed = whole("seed", seed, least=0)
        rows = self._rows(favorites, "favorites")
        engine = self.engine(wanted, familiarity)
        return Session(engine, engine.start(rows, seed, [words] if isinstance(words, str) else list(words)))

    def engine(self, wanted: Optional[MovieFilter] = None, familiarity: Optional[float] = None) -> SessionEngine:
        """Return the session engine with this recommender's learning rule and policy."""
        engine = SessionEngine(self.catalog, self.rule, self.policy, ranking.filter_of(wanted), self.encode)
        return engine if familiarity is None else engine.with_familiarity(familiarity)

    def row_of(self, movie: Union[int, str, Movie]) -> int:
        """Return the row of a movie, of a movie id, or of an unambiguous title."""
        return ranking.row_of(movie, self.catalog, lambda: self.titles)

    def similar_movies(self, movie_id: int, n: int = 10) -> list[Similar]:
        """Return the n movies most like it by people's ratings and by texts (session/similar.py), best first.

        Without text vectors by ratings alone. Movies of which nothing is known are not in it, so it may be shorter.
        """
        found = self._similar.search(self.catalog.row_of(whole("movie id", movie_id, least=None)), whole("n", n))
        return [Similar(self.catalog.movie(one.row), one.score, one.by) for one in found]

    def recommend(
        self,
        user: Union[int, Sequence[Any], Mapping[str, Any]],
        n: int = 10,
        method: Optional[str] = None,
        wanted: Optional[MovieFilter] = None,
        exclude: Iterable[Union[int, str, Movie]] = (),
        familiarity: Optional[float] = None,
        at: Optional[int] = None,
        context: Union[bool, str, Path] = False,
    ) -> list[Ranked]:
        """Return the n best movies that a user has not rated, best first; fewer if no more pass the filters.

        user: the id of one whose ratings are in the data; a list of (movie, stars), of (movie, stars, seconds since
        1970) or of movies, each 5 stars; or a profile, as `session.profiles.read_profile` returns it.
        method: a model of learn/registry.py, or hybrid, hybrid_quotas, item_cf (= ease); opened or fitted on first use
        (models.py). None: the stacker if it is stored, else the two towers, else what is quick to fit. `notes` say
        what stood in for one that is not to be had.  wanted: allowed genres and years.  exclude: never shown.
        familiarity: 1 = what everybody knows first, 0 = what fits this person alone; None = the model's own.
        at: seconds since 1970; None is now.  context: genre weights by hour of the day, of config/context.yaml (True)
        or another file.  Raises `ChoiceError` for an unknown user, movie or method.

        >>> [str(movie.movie) for movie in Recommender.load().recommend(1, n=1, method="popularity")]
        ['The Shawshank Redemption (1994)']
        """
        n, at = whole("n", n), ranking.moment(at)
        excluded, name = self._rows(exclude, "exclude"), self.models.name_of(method)
        if familiarity is not None:
            familiarity = check_value(PolicySettings, "familiarity", familiarity)
        bonus = ranking.genre_bonus(self.catalog, context, at)
        history, row, seen = self._history_of(user, at, name)
        rated = history.movie_rows[history.row(row)].tolist()
        allowed = ranking.allowed(self.catalog, wanted, [*excluded, *rated, *seen])
        asked = (history, row, at, min(n, history.n_movies), allowed, self.catalog.n_ratings, familiarity, bonus)
        found = ranking.rank(self.models.get(name), *asked)
        return [Ranked(self.catalog.movie(movie), score, by) for movie, score, by in found]

    def explain(self, user: Union[int, Sequence[Any], Mapping[str, Any]], movie: Union[int, str, Movie]) -> Explanation:
        """Return how a movie fits what `user` (as in `recommend`) likes, and which of their favorites are like it.

        The score is the cosine of the movie's vector with the sum of those of the movies rated, each times its rating
        less 3 stars.
        """
        row, (history, user_row, _) = self.row_of(movie), self._history_of(user, ranking.moment(None))
        own, vectors = history.select(np.array([user_row])), unit_rows(self.movie_vectors)
        return ranking.explain(self.catalog, own, vectors, row)

    def recommend_all(
        self,
        output: Union[str, Path],
        n: int = 10,
        method: Optional[str] = None,
        users: Optional[Iterable[int]] = None,
        wanted: Optional[MovieFilter] = None,
        at: Optional[int] = None,
        progress: Callable[[int, int], object] = lambda done, total: None,
        engine: Optional[Engine] = None,
    ) -> int:
        """Write the lists of all users in the data, or of `users` by id, to a .csv, .jsonl or .parquet file.

        A run that was stopped goes on where it was, if all is the same. Returns how many users this run has written.
        engine: where they are ranked (linalg/engine.py), this process by default."""
        from .everybody import write_lists

        path, n, moment = path_of(output or "", "output") or Path(), whole("n", n), ranking.moment(at)
        name, allowed = self.models.name_of(method), ranking.allowed(self.catalog, wanted)
        rows, asked = self.models.user_rows(users), {"method": name, "n": n, "at": at}
        given = (self.models.get(name), self.models.history, self.catalog, rows, n, moment, allowed, asked)
        return write_lists(path, *given, progress, engine)

    def group_session(
        self,
        people: Mapping[str, Any],
        strategy: str = "average",
        seed: int = 0,
        wanted: Optional[MovieFilter] = None,
        familiarity: Optional[float] = None,
    ) -> Session:
        """Start a session for 2 to 8 people who watch together; an answer counts for all.

        people: name -> a profile, as `session.profiles.read_profile` returns it, or a list of favorites or of (movie,
        stars).  strategy: "average", "least-misery" or "fair-share" (session/group.py).
        """
        from .session.group import GroupEngine

        one, members = self.engine(wanted, familiarity), ranking.members(people, self.catalog, self.row_of)
        engine = GroupEngine(one.catalog, one.rule, one.policy, one.wanted, one.encode, members, strategy)
        return Session(engine, engine.start_group(whole("seed", seed, least=0)))

    def quality_metrics(self) -> dict[str, Any]:
        """Return what the index of text vectors holds (`index_quality`), or without them that of the ratings."""
        from .evaluate.embeddings import index_quality

        index, backend = self.index
        return {"backend": backend, "index": index.name, **index_quality(index.vectors, self.catalog)}

    def warm(self, methods: Iterable[Optional[str]] = (None,)) -> dict[str, float]:
        """Do at once what first calls would wait for, for servers; return the seconds of each step."""
        names = [self.models.name_of(method) for method in listed("methods", methods, "names of methods")]
        steps: dict[str, Callable[[], object]] = {name: functools.partial(self.models.get, name) for name in names}
        steps |= {name: functools.partial(getattr, self, name) for name in ("titles", "_similar")}
        steps["words"] = functools.partial(self.encode, "a funny movie about war")
        seconds = {}
        for name, step in steps.items():
            started = time.perf_counter()
            try:
                step()
            except (ArtifactError, ChoiceError) as error:
                self._tell(f"no {name} here: {error}")
            seconds[name] = time.perf_counter() - started
        return seconds

    def _history_of(self, user: Any, at: int, method: str = "") -> tuple[Interactions, int, list[int]]:
        """Return ratings, the row in them of a user in the data, of a profile or of a list, and more that is seen."""
        if isinstance(user, numbers.Integral) and not isinstance(user, bool):
            return self.models.history, self.models.user_row(int(user)), []
        given, seen = ranking.ratings_of(user, self.catalog) if isinstance(user, Mapping) else (user, [])
        if isinstance(given, (list, tuple)) and not given and method != POPULARITY:
            raise ChoiceError("nothing is known of a user without ratings: name a movie, or take method popularity")
        return ranking.history_of(given, self.row_of, self.catalog.movie_ids, at), 0, seen

    def _rows(self, movies: Iterable[Union[int, str, Movie]], what: str) -> list[int]:
        return [self.row_of(movie) for movie in listed(what, movies, "movie ids or titles")]

    def _tell(self, line: str) -> None:
        import logging

        self.notes.append(line)
        logging.getLogger("recommender").warning(line)
