"""The policy of a session: settings, filters, and the terms of the score (`TERMS`).

    score = model * score_weight_model - distance * genre_distance_penalty
            - popularity / max_popularity * popularity_penalty + diversity_boost (in the middle affinity band)
            + shared_traits_weight * (sum over genres, era, language and tone of  w |m|^2 (x . m)
                                      + sum over words of the movie's keywords of  2 / l (idf (n - 1) / (F + 1))^2)
            + favorite_turn_weight * (1 - answers / TURNS) * min(h_f, NEAREST)     until TURNS answers, skips aside
            + sum over the person's own words of fit * words_fit_weight * words_fade ^ (later utterances)

`model` and `fit` are standardised over the candidates of the turn (engine.py): raw u . m is of the order of 0.1, much
less than penalties of the order of 1. x: the traits of a movie less those of the average movie (learn/features.py);
m: their sum over F favorites, half of that over L likes, less a quarter of that over dislikes, / (F + L / 2 + 1), the
longer the more these agree, and short for few; all of it counts a quarter beside words. n: how many favorites
have the word, from 2; idf: word_match.py. f: the favorite whose turn it is, one after another, so that all with
little in common are served; h_f: how much a movie is like it (similar.py), which the conditional Gaussian alone knows.
With words, or a filter on genres, movies outside the favorites' genres are allowed.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

import numpy as np

from ..data.catalog import SPOKEN, Catalog, Movie
from ..data.errors import ChoiceError, SettingsError, shown, whole
from ..data.settings import check_settings, setting

if TYPE_CHECKING:  # imported on first use
    from ..text.word_match import WordMatch

CONDITIONAL_GAUSSIAN, MOVING_AVERAGE = "conditional-gaussian", "moving-average"
LEARNING_RULES = (CONDITIONAL_GAUSSIAN, MOVING_AVERAGE)
Numbers = Union[Sequence[float], np.ndarray]
MOST_SHARED = 6  # names in a line
BESIDE_WORDS = 0.25  # what the favorites' traits and turns count once something was said in words
TURNS, NEAREST = 10, 5.0  # answers; standard deviations
TRAIT_WEIGHTS = (20.0, 12.0, 60.0, 35.0)  # w of genres, years, languages, tones, chosen on thirty tastes


@dataclass(frozen=True)
class PolicySettings:
    """The settings of `config/recommender_policy.yaml`."""

    n_favorites: int = setting(4, "number of favorite movies that a session asks for", 1, 20)
    learning_rule: str = setting(CONDITIONAL_GAUSSIAN, "how answers become scores", choices=LEARNING_RULES)
    familiarity: float = setting(0.55, "1: what everybody likes first; 0: what fits this person alone", 0, 1)
    not_interested_weight: float = setting(0.5, "weight of not interested; 1 = as of a dislike", 0, 1)
    later_weight: float = setting(0.25, "weight of later, the watchlist; 1 = as of a like", 0, 1)
    learning_rate: float = setting(0.15, "step of the moving average for each like or dislike", 0, 1)
    negative_weight: float = setting(0.5, "size of a dislike's step of the moving average relative to a like's", 0, 10)
    vector_scaling: float = setting(0.5, "moving-average: movie vectors are V * singular_values ** this", 0, 2)
    score_weight_model: float = setting(1.0, "weight of the standardised model score", 0, 100)
    min_genre_affinity: float = setting(0.05, "minimum genre affinity of a movie", 0, 1)
    max_genre_distance: float = setting(0.95, "maximum genre distance of a movie", 0, 1)
    genre_distance_penalty: float = setting(1.0, "penalty at genre distance 1", 0, 100)
    popularity_penalty: float = setting(0.4, "penalty of the most rated movie; others in proportion", 0, 100)
    shared_traits_weight: float = setting(0.6, "weight of genres, era, ... that favorites share", 0, 100)
    favorite_turn_weight: float = setting(1.5, "weight of the favorite whose turn it is", 0, 100)
    diversity_boost: float = setting(0.1, "bonus of a movie in the middle band of genre affinity", 0, 100)
    diversity_band_low: float = setting(0.2, "lower end of the middle band of genre affinity", 0, 1)
    diversity_band_high: float = setting(0.5, "upper end of the middle band of genre affinity", 0, 1)
    words_fit_weight: float = setting(3.0, "weight of the fit to the person's own words", 0, 100)
    words_fade: float = setting(0.25, "decay of earlier words when others follow", 0, 1)
    words_taste_weight: float = setting(1.0, "weight of words in the learning rule; 1 = as of an answer", 0, 1)
    exploration_rate: float = setting(0.0, "probability that a turn damps the model score", 0, 1)
    exploration_damping: float = setting(0.5, "factor of the model weight in such a turn", 0, 1)

    def __post_init__(self) -> None:
        check_settings(self)
        low, high = self.diversity_band_low, self.diversity_band_high
        if low > high:
            raise SettingsError(f"diversity_band_low {low} is above diversity_band_high {high}: give the lower first")


@dataclass(frozen=True)
class MovieFilter:
    """Restricts the movies that can be shown; an empty filter allows all.

    genres: a movie needs at least one of them.  exclude_genres: a movie with any of them is excluded.
    first_year, last_year: inclusive; a movie without a known year is excluded if either is given.
    """

    genres: tuple[str, ...] = ()
    exclude_genres: tuple[str, ...] = ()
    first_year: Optional[int] = None
    last_year: Optional[int] = None

    def __post_init__(self) -> None:
        for key in ("genres", "exclude_genres"):
            names = getattr(self, key)
            if not isinstance(names, (str, tuple, list)) or not all(isinstance(name, str) for name in names):
                raise ChoiceError(f"genres {shown(names)}: give a tuple of names")
            object.__setattr__(self, key, (names,) if isinstance(names, str) else tuple(names))
        for year in (self.first_year, self.last_year):
            whole("year", 0 if year is None else year, least=0)

    def __str__(self) -> str:
        first, last = self.first_year, self.last_year
        years = f"{first}-{last}" if first and last else f"from {first}" if first else f"to {last}" if last else ""
        years = str(first or "") if first == last else years
        parts = [", ".join(self.genres) and f"only {', '.join(self.genres)}"]
        parts += [", ".join(self.exclude_genres) and f"not {', '.join(self.exclude_genres)}", years]
        return "; ".join(filter(None, parts)) or "none"

    def mask(self, catalog: Catalog) -> np.ndarray:
        """Return the mask of allowed movies (n_movies,); raises `ChoiceError` for an unknown genre."""
        passes = np.ones(len(catalog), dtype=bool)
        if self.genres:
            passes &= catalog.genres[:, genre_columns(catalog, self.genres)].any(axis=1)
        passes &= ~catalog.genres[:, genre_columns(catalog, self.exclude_genres)].any(axis=1)
        if self.first_year is not None:
            passes &= catalog.years >= self.first_year
        if self.last_year is not None:
            passes &= (catalog.years <= self.last_year) & (catalog.years > 0)
        return passes


def genre_columns(catalog: Catalog, names: Sequence[str]) -> list[int]:
    """Return the genre columns of `names`, whatever their case; `scifi` and `science fiction` are `Sci-Fi`."""
    columns = {_letters(name): j for j, name in enumerate(catalog.genre_names)}
    for name in names:
        if _letters(name) not in columns:
            raise ChoiceError(f"no genre {name!r}: choose from {', '.join(catalog.genre_names)}")
    return [columns[_letters(name)] for name in names]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold())).replace("sciencefiction", "scifi")


def genre_affinity(genres: np.ndarray, favorites: Sequence[int]) -> np.ndarray:
    """Return the affinity of every movie to the favorites, (n_movies,) float32, 0 to 1; 1 minus it is the distance.

    The genre counts of the favorites, normalised to sum to 1, are their profile; the affinity of a movie is the sum of
    its genres' shares. genres: (n_movies, n_genres) bool.  favorites: movie rows; without any the affinity is 1.
    """
    if not len(favorites):
        return np.ones(len(genres), dtype=np.float32)
    counts = genres[list(favorites)].sum(axis=0)
    profile = (counts / max(1, counts.sum())).astype(np.float32)
    return np.asarray(genres.astype(np.float32) @ profile)


class SessionContext:
    """Quantities that depend on the favorites only: inputs and values of the terms.

    affinity: (n_movies,) float32.  allowed: (n_movies,) bool.  terms: points of each.  fixed: their sum, or -inf.
    """

    def __init__(
        self, policy: PolicySettings, catalog: Catalog, favorites: Sequence[int], any_genre: bool, wanted: MovieFilter
    ) -> None:
        """any_genre: also allow movies outside the favorites' genres."""
        self.policy, self.catalog, self.favorites, rows = policy, catalog, favorites, list(favorites)
        self.affinity = genre_affinity(catalog.genres, favorites)
        near = (self.affinity >= policy.min_genre_affinity) & (1 - self.affinity <= policy.max_genre_distance)
        if any_genre or not catalog.genres[rows].any():  # favorites without a genre: no genre filter
            near[:] = True
        self.allowed = near & wanted.mask(catalog)
        self.allowed[rows] = False
        weights = {kind: np.float32(getattr(policy, term.weight)) for kind, term in TERMS.items()}
        self.terms = {
            kind: term.points(self) * weights[kind] for kind, term in TERMS.items() if weights[kind] and term.points
        }
        self.fixed = np.where(self.allowed, sum(self.terms.values()), -np.inf).astype(np.float32)
        self._weights, self._n_allowed = self.allowed.astype(np.float32), int(self.allowed.sum())

    def traits(self, weight: float, rows: np.ndarray, counted: np.ndarray) -> np.ndarray:
        """Return the points of what the favorites share, (n_movies,) float32.

        rows, counted: of answers, their movies and what each counts beside a favorite; less than 0 for a dislike.
        """
        from ..learn.features import traits

        x, columns, block = traits(self.catalog)  # (n_movies, n_traits), the same transposed, which of the four each is
        m = x.take(self.favorites, axis=0).sum(axis=0) + counted @ x.take(rows, axis=0)
        m /= len(self.favorites) + float(counted[counted > 0].sum()) + 1
        squares = np.bincount(block, m * m, len(TRAIT_WEIGHTS))  # |m|^2 of each of the four
        points = ((weight * np.array(TRAIT_WEIGHTS) * squares)[block].astype(np.float32) * m) @ columns
        points += np.float32(weight) * self._keywords
        return np.asarray(points)

    @functools.cached_property
    def traits_at_first(self) -> np.ndarray:
        """What `traits` returns before anything counts, for a weight of 1."""
        return self.traits(1.0, np.zeros(0, np.int64), np.zeros(0, np.float32))

    @functools.cached_property
    def _keywords(self) -> np.ndarray:
        """Points (n_movies,): 2 / l (idf (n - 1) / (F + 1))^2 for each word of keywords that n > 1 of F favorites have.

        l: words in the shortest keyword with it, so that "slow burn" counts once.
        """
        from ..text.word_match import content_words, stem

        points, movies = np.zeros(len(self.catalog), dtype=np.float32), map(self.catalog.movie, self.favorites)
        words = [
            {stem(word): (len(keyword), word) for keyword in keywords for word in keyword}  # the shortest comes last
            for keywords in (sorted(map(content_words, movie.keywords), key=len, reverse=True) for movie in movies)
        ]
        for root, n in Counter(chain.from_iterable(words)).items():
            if n > 1:
                length, word = min(said[root] for said in words if root in said)
                rows = _keyword_match(self.catalog).rows_with(word)
                points[rows] += 2 / length * (math.log((1 + len(points)) / len(rows)) * (n - 1) / (len(words) + 1)) ** 2
        return points

    def moments(self, scores: np.ndarray, answered: Numbers = ()) -> tuple[float, float]:
        """Return mean and standard deviation of `scores` over the candidates (allowed and unanswered); 1 if all
        scores are equal. Computed over all allowed movies minus the few answered ones, without a copy."""
        rows = np.asarray(answered, dtype=np.int64)
        rows = rows[self.allowed[rows]]
        n = max(1, self._n_allowed - len(rows))
        taken_out = scores[rows].astype(np.float64)
        mean = (float(self._weights @ scores) - float(np.add.reduce(taken_out))) / n
        centred = scores - np.float32(mean)
        centred *= self._weights
        taken_out -= np.float32(mean)
        variance = max(0.0, float(centred @ centred) - float(taken_out @ taken_out)) / n
        return mean, math.sqrt(variance) if variance > 1e-12 * mean * mean else 1.0


def genre_term(context: SessionContext) -> np.ndarray:
    """Penalize genres that the favorites do not have."""
    return context.affinity - 1


def popularity_term(context: SessionContext) -> np.ndarray:
    """Penalize popular movies."""
    counts = context.catalog.n_ratings
    return (-counts / max(1, counts.max(initial=0))).astype(np.float32)


def diversity_term(context: SessionContext) -> np.ndarray:
    """Boost movies in the middle band of genre affinity."""
    policy, affinity = context.policy, context.affinity
    middle = (affinity >= policy.diversity_band_low) & (affinity <= policy.diversity_band_high)
    return (middle & (len(context.favorites) > 0)).astype(np.float32)


def shared_names(catalog: Catalog, favorites: Sequence[int], row: int) -> str:
    """Return what a movie has that two favorites or more have: language, genres, tones and keywords, in words."""

    def names(movie: Movie) -> list[str]:
        spoken = SPOKEN.get(movie.original_language, "").split(",")[0]
        return [name for name in (spoken, *movie.genres, *movie.tone, *movie.keywords) if name]

    counts = Counter(name for favorite in favorites for name in set(names(catalog.movie(favorite))))
    shared = [name for name in dict.fromkeys(names(catalog.movie(row))) if counts[name] > 1]
    return ", ".join(shared[:MOST_SHARED]) or "their era"


@functools.lru_cache(maxsize=2)
def _keyword_match(catalog: Catalog) -> WordMatch:
    from ..text.word_match import WordMatch

    return WordMatch(catalog.column("keywords"))


class Term(NamedTuple):
    """points: returns (n_movies,) float32; None: it depends on answers (engine.py).  weight: the setting that
    multiplies them.  label: what "why" prints; {movie}, {affinity} and {shared}, of `shared_names`, are filled in."""

    points: Optional[Callable[[SessionContext], np.ndarray]]
    weight: str
    label: str


# The terms added to the model's score, in this order; one of weight 0 is not computed. A new one is a function above, a
# setting for its weight with a line in config/recommender_policy.yaml, and a line here; tests/test_session.py tries it.
TERMS = {
    "genre": Term(genre_term, "genre_distance_penalty", "genres: it shares {affinity:.0%} of your favorites' genres"),
    "popularity": Term(popularity_term, "popularity_penalty", "popularity: {movie.n_ratings:,} people rated it"),
    "diversity": Term(diversity_term, "diversity_boost", "a little off your usual genres"),
    "traits": Term(None, "shared_traits_weight", "what your favorites share: {shared}"),
    "turn": Term(None, "favorite_turn_weight", "your favorite {}, whose turn it is"),
}
