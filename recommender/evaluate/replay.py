"""The session replayed on people whose ratings are known: how many movies that they like does it show?

Whole people are held out, a fold at a time; rules are fitted on the others. A person with at least
`MIN_LIKED` liked movies (rating >= 4) names some of them, drawn at random, as favorites; then, movie after movie, the
real session (`recommender.session`) shows and this person answers by the rating: like at >= 4, dislike at <= 2.5,
otherwise skip, a movie never rated included. A hit is a liked movie shown; favorites are not counted.

    hits            liked movies among those shown
    rate            hits / min(n_turns, liked movies left)
    weighted rate   sum over hits of 1 / (ratings in training + 1), divided by the largest such sum that n_turns
                    movies could give: popularity as the propensity (Yang et al., RecSys 2018, section 3)
    tail share      the part of the hits outside the most rated tenth of the catalogue

Four views: with learning, and without (the same session ignores all answers but the favorites); and both again where
the session may only show movies that the person rated, since a skip otherwise mostly means "never rated".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError, DataError
from ..data.interactions import LIKED, Interactions
from ..data.weighting import HEAD, popularity_tiers
from ..session.engine import SessionEngine
from ..session.fitted_rules import fit_session_rule
from ..session.policy import MovieFilter, PolicySettings
from ..session.rules import LearningRule
from ..session.state import DISLIKE, FAVORITE, LIKE, SKIP, Event
from .significance import TAILS, resampled_means

DISLIKED = 2.5
MIN_LIKED = 10
VIEWS = {  # whether answers are heard, whether only rated movies are shown
    "learning": (True, False),
    "no learning": (False, False),
    "rated only": (True, True),
    "rated only, no learning": (False, True),
}
RULE_ALONE = PolicySettings(  # movies are ranked by the score of the rule alone
    min_genre_affinity=0.0,
    max_genre_distance=1.0,
    genre_distance_penalty=0.0,
    popularity_penalty=0.0,
    diversity_boost=0.0,
    shared_traits_weight=0.0,
    exploration_rate=0.0,
)


class Person(NamedTuple):
    """Somebody to replay: external id, favorites (movie rows), and the rating of every movie that they rated."""

    user_id: int
    favorites: tuple[int, ...]
    ratings: Mapping[int, float]

    def answer(self, row: int) -> str:
        rating = self.ratings.get(row)
        if rating is None or DISLIKED < rating < LIKED:
            return SKIP
        return LIKE if rating >= LIKED else DISLIKE

    def liked_left(self) -> list[int]:
        return [row for row, rating in self.ratings.items() if rating >= LIKED and row not in self.favorites]


class Outcome(NamedTuple):
    """One person's session. hit_turns: the turns, from 1, that showed a liked movie."""

    user_id: int
    hits: int
    rate: float
    weighted_rate: float
    tail_hits: int
    hit_turns: tuple[int, ...]


class Fold(NamedTuple):
    """Rules are fitted on `train`; `people` are replayed; `catalog` counts popularity in `train`."""

    train: Interactions
    catalog: Catalog
    people: list[Person]


def draw_people(data: Interactions, user_rows: np.ndarray, n_favorites: int, rng: np.random.Generator) -> list[Person]:
    """Return those of `user_rows` who like at least `MIN_LIKED` movies, with favorites drawn without replacement."""
    people = []
    for row in user_rows.tolist():
        movies, ratings = data.movie_rows[data.row(row)], data.ratings[data.row(row)]
        liked = movies[ratings >= LIKED]
        if len(liked) >= max(MIN_LIKED, n_favorites + 1):
            favorites = rng.choice(np.sort(liked), size=n_favorites, replace=False)
            known = dict(zip(movies.tolist(), ratings.tolist()))
            people.append(Person(int(data.user_ids[row]), tuple(favorites.tolist()), known))
    return people


def make_folds(
    data: Interactions, catalog: Catalog, n_folds: int, n_favorites: int, seeds: Sequence[int], fold_seed: int = 0
) -> list[Fold]:
    """Return the folds of `data`; each person comes once for each of `seeds`, with other favorites.

    fold_seed: who falls into which fold. The movie rows of `catalog` are those of `data`.
    """
    if not 2 <= n_folds <= data.n_users:
        raise ChoiceError(f"{n_folds} folds of {data.n_users} users: give from 2 to the number of users")
    if not np.array_equal(catalog.movie_ids, data.movie_ids):
        raise DataError("the ratings list other movies than the catalogue: use the two of one data set")
    folds = []
    shuffled = np.random.default_rng(fold_seed).permutation(data.n_users)
    for number, rows in enumerate(map(np.sort, np.array_split(shuffled, n_folds))):
        train, people = data.take(~np.isin(data.user_rows(), rows)), []
        for seed in seeds:
            people += draw_people(data, rows, n_favorites, np.random.default_rng([seed, number]))
        folds.append(Fold(train, catalog.with_counts(train.movie_counts()), people))
    return folds


@dataclass(frozen=True)
class OnlyThese(MovieFilter):
    """A filter that lets the movies in `rows` pass and no others."""

    rows: tuple[int, ...] = ()

    def mask(self, catalog: Catalog) -> np.ndarray:
        return np.isin(np.arange(len(catalog)), self.rows)


class WithoutLearning(LearningRule):
    """A rule that hears the favorites, which come first, and ignores all answers."""

    def __init__(self, rule: LearningRule) -> None:
        self.rule, self._scores = rule, functools.lru_cache(maxsize=1)(rule.scores)

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        return self._scores(_favorites(events))

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        table = self.rule.contributions(_favorites(events), rows)
        return np.pad(table, ((0, 1 + len(events) - len(table)), (0, 0)))

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        return self.rule.user_vector(_favorites(events))


def _favorites(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(event for event in events if event.answer == FAVORITE)


def replay(engine: SessionEngine, person: Person, n_turns: int = 20) -> list[int]:
    """Return the movies shown, movie rows in order; fewer than `n_turns` where no movie is left."""
    state = engine.start(person.favorites)
    shown: list[int] = []
    while state.current is not None:
        shown.append(state.current)
        if len(shown) >= n_turns:
            break
        state = engine.step(state, person.answer(state.current))
    return shown


def measure(person: Person, shown: Sequence[int], n_turns: int, counts: np.ndarray, tiers: np.ndarray) -> Outcome:
    """Return what was reached; counts, tiers: (n_movies,) ratings in training, and `popularity_tiers` of them."""
    left = person.liked_left()
    turns = tuple(turn for turn, row in enumerate(shown, start=1) if row in set(left))
    hits, weights = [shown[turn - 1] for turn in turns], 1.0 / (counts + 1.0)  # by popularity
    weighted = float(weights[hits].sum() / np.sort(weights[left])[::-1][:n_turns].sum())
    tail = int((tiers[hits] != HEAD).sum())
    return Outcome(person.user_id, len(turns), len(turns) / min(n_turns, len(left)), weighted, tail, turns)


def replay_all(
    rule: LearningRule, fold: Fold, n_turns: int = 20, policy: PolicySettings = RULE_ALONE, rated_only: bool = False
) -> list[Outcome]:
    """Replay a session for each person of `fold`. Cost: one session step per turn."""
    catalog, counts = fold.catalog, fold.catalog.n_ratings
    engine, tiers = SessionEngine(catalog, rule, policy), popularity_tiers(counts)
    outcomes = []
    for person in fold.people:
        if rated_only:
            engine = SessionEngine(catalog, rule, policy, OnlyThese(rows=tuple(person.ratings)))
        outcomes.append(measure(person, replay(engine, person, n_turns), n_turns, counts, tiers))
    return outcomes


def replay_rule(
    name: str, folds: Sequence[Fold], policies: Mapping[str, PolicySettings], n_turns: int
) -> dict[str, dict[str, list[Outcome]]]:
    """Fit rule `name` once on each fold and replay it: policy -> view -> outcomes, in order of folds."""
    found: dict[str, dict[str, list[Outcome]]] = {policy: {view: [] for view in VIEWS} for policy in policies}
    for fold in folds:
        rule = fit_session_rule(name, fold.train, fold.catalog, policies.get("policy"))
        rules = {True: rule, False: WithoutLearning(rule)}
        for policy, settings in policies.items():
            for view, (learns, rated_only) in VIEWS.items():
                found[policy][view] += replay_all(rules[learns], fold, n_turns, settings, rated_only)
    return found


def per_person(outcomes: Sequence[Outcome], field: str) -> np.ndarray:
    """Return the mean of `field` for each person over their draws of favorites, ordered by user id."""
    _, rows = np.unique([outcome.user_id for outcome in outcomes], return_inverse=True)
    values = np.array([getattr(outcome, field) for outcome in outcomes], dtype=np.float64)
    return np.bincount(rows, weights=values) / np.bincount(rows)


def summary(outcomes: Mapping[str, Sequence[Outcome]], n_turns: int, n_resamples: int = 2000) -> dict[str, Any]:
    """Return the figures of one rule under one policy, with 95% bootstrap intervals over people.

    outcomes: by view.  gain = hits with learning / without - 1, None where nothing was hit without.
    """
    pair = np.column_stack([per_person(outcomes[view], "hits") for view in ("learning", "no learning")])
    means = np.vstack([pair.mean(axis=0), resampled_means(pair, n_resamples, np.random.default_rng(0))])
    some = means[:, 1] > 0
    gains = means[:, 0] / np.where(some, means[:, 1], 1) - 1
    figures: dict[str, Any] = {
        "n_people": len(pair),
        "hits": float(means[0, 0]),
        "hits_interval": np.quantile(means[1:, 0], TAILS).tolist(),
        "hits_without_learning": float(means[0, 1]),
        "gain": float(gains[0]) if some[0] else None,
        "gain_interval": np.quantile(gains[1:], TAILS).tolist() if some[1:].all() else None,
    }
    for view, of_view in outcomes.items():
        turns = [turn for outcome in of_view for turn in outcome.hit_turns]
        figures[view] = {name: float(per_person(of_view, name).mean()) for name in ("hits", "rate", "weighted_rate")}
        figures[view]["tail_share"] = sum(outcome.tail_hits for outcome in of_view) / max(1, len(turns))
        figures[view]["hits_by_turn"] = (np.bincount(turns, minlength=n_turns + 1)[1:] / len(of_view)).tolist()
    return figures
