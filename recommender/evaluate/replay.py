"""The session replayed on people whose ratings are known: how many movies that they like does it show?

Whole people are held out, a fold at a time; rules are fitted on the others. A person with at least `MIN_LIKED` liked
movies (rating >= 4) names some of them, drawn at random, as favorites; then the real session shows movie after movie
and this person answers by the rating: like at >= 4, dislike at <= 2.5, not interested between. A hit is a liked movie.

    hits            liked movies among those shown
    rate            hits / min(n_turns, liked movies left)
    outside         hits outside the 100 movies most rated in training
    weighted rate   sum over hits of 1 / (ratings in training + 1), divided by the largest such sum that n_turns
                    movies could give: popularity as the propensity (Yang et al., RecSys 2018, section 3)
    famous          the share of those shown that are among the 50 most rated
    median rank     by ratings, 1 = the most rated, of those shown

Many hits can be had by showing what everybody has rated; the other figures say whether it was so. `VIEWS` lists how
the same people are replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError, DataError
from ..data.interactions import LIKED, Interactions
from ..session.engine import SessionEngine
from ..session.fitted_rules import fit_session_rule
from ..session.policy import TERMS, PolicySettings
from ..session.rules import LearningRule
from ..session.state import NOT_INTERESTED, SKIP, answer_for
from .significance import TAILS, resampled_means

MIN_LIKED = 10
N_FAMOUS, N_KNOWN = 50, 100  # by ratings in training
FIGURES = ("hits", "rate", "outside", "weighted_rate", "famous", "median_rank")
# movies are ranked by the score of the rule alone
NO_TERMS: dict[str, Any] = {"min_genre_affinity": 0.0, "max_genre_distance": 1.0}
NO_TERMS |= {term.weight: 0.0 for term in TERMS.values()}
RULE_ALONE = PolicySettings(**NO_TERMS)


class View(NamedTuple):
    """How people are replayed.

    unrated: their answer to a movie that they never rated.  learns: False: they skip all, which says nothing.
    least_known: the favorites are the liked movies with the fewest ratings.
    """

    unrated: str = NOT_INTERESTED
    learns: bool = True
    least_known: bool = False


LEARNING = View()
VIEWS = {
    "learning": LEARNING,
    "learning, unrated = skip": View(unrated=SKIP),
    "learning, least known": View(least_known=True),
    "no learning": View(learns=False),
}


class Person(NamedTuple):
    """Somebody to replay: external id, favorites (movie rows), and the rating of every movie that they rated."""

    user_id: int
    favorites: tuple[int, ...]
    ratings: Mapping[int, float]

    def answer(self, row: int, view: View = LEARNING) -> str:
        if not view.learns:
            return SKIP
        return answer_for(self.ratings[row]) if row in self.ratings else view.unrated

    def liked_left(self) -> list[int]:
        return [row for row, rating in self.ratings.items() if rating >= LIKED and row not in self.favorites]

    def with_least_known(self, counts: np.ndarray) -> Person:
        """Return the same person with their least rated liked movies as favorites, ties by row."""
        liked = sorted((row for row, rating in self.ratings.items() if rating >= LIKED), key=lambda r: (counts[r], r))
        return self._replace(favorites=tuple(liked[: len(self.favorites)]))


class Outcome(NamedTuple):
    """One person's session. shown: movie rows in order; hit_turns: the turns, from 1, that showed a liked movie."""

    user_id: int
    hits: int
    rate: float
    outside: int
    weighted_rate: float
    famous: float
    median_rank: float
    hit_turns: tuple[int, ...]
    shown: tuple[int, ...]


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
    data: Interactions,
    catalog: Catalog,
    n_folds: int,
    n_favorites: int,
    seeds: Sequence[int],
    fold_seed: int = 0,
    last_user: Optional[int] = None,
) -> list[Fold]:
    """Return the folds of `data`; each person comes once for each of `seeds`, with other favorites.

    fold_seed: who falls into which fold.  last_user: users with higher ids are in no fold, and so always in training.
    The movie rows of `catalog` are those of `data`.
    """
    n_users = data.n_users if last_user is None else int((data.user_ids <= last_user).sum())
    if not 2 <= n_folds <= n_users:
        raise ChoiceError(f"{n_folds} folds of {n_users} users: give from 2 to the number of users")
    if not np.array_equal(catalog.movie_ids, data.movie_ids):
        raise DataError("the ratings list other movies than the catalogue: use the two of one data set")
    folds = []
    shuffled = np.random.default_rng(fold_seed).permutation(n_users)
    for number, rows in enumerate(map(np.sort, np.array_split(shuffled, n_folds))):
        train, people = data.take(~np.isin(data.user_rows(), rows)), []
        for seed in seeds:
            people += draw_people(data, rows, n_favorites, np.random.default_rng([seed, number]))
        folds.append(Fold(train, catalog.with_counts(train.movie_counts()), people))
    return folds


def replay(engine: SessionEngine, person: Person, n_turns: int = 20, view: View = LEARNING) -> list[int]:
    """Return the movies shown, movie rows in order; fewer than `n_turns` where no movie is left."""
    state = engine.start(person.favorites)
    shown: list[int] = []
    while state.current is not None:
        shown.append(state.current)
        if len(shown) >= n_turns:
            break
        state = engine.step(state, person.answer(state.current, view))
    return shown


def measure(person: Person, shown: Sequence[int], n_turns: int, counts: np.ndarray, ranks: np.ndarray) -> Outcome:
    """Return what was reached; counts, ranks: (n_movies,) ratings in training, and the place by them, from 1."""
    left = person.liked_left()
    turns = tuple(turn for turn, row in enumerate(shown, start=1) if row in set(left))
    hits, weights = [shown[turn - 1] for turn in turns], 1.0 / (counts + 1.0)  # by popularity
    weighted = float(weights[hits].sum() / np.sort(weights[left])[::-1][:n_turns].sum())
    outside, places = int((ranks[hits] > N_KNOWN).sum()), ranks[list(shown)]
    famous, median = float((places <= N_FAMOUS).mean()), float(np.median(places))
    rate = len(turns) / min(n_turns, len(left))
    return Outcome(person.user_id, len(turns), rate, outside, weighted, famous, median, turns, tuple(shown))


def replay_all(
    rule: LearningRule,
    fold: Fold,
    n_turns: int = 20,
    policy: PolicySettings = RULE_ALONE,
    view: View = LEARNING,
) -> list[Outcome]:
    """Replay a session for each person of `fold`. Cost: one session step per turn."""
    catalog, counts = fold.catalog, fold.catalog.n_ratings
    engine, people = SessionEngine(catalog, rule, policy), fold.people
    ranks = np.empty(len(counts), dtype=np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
    if view.least_known:  # whatever was drawn: once for each person
        people = list({person.user_id: person.with_least_known(counts) for person in people}.values())
    shown = [replay(engine, person, n_turns, view) for person in people]
    return [measure(person, rows, n_turns, counts, ranks) for person, rows in zip(people, shown)]


def replay_rule(
    name: str, folds: Sequence[Fold], policies: Mapping[str, PolicySettings], n_turns: int
) -> dict[str, dict[str, list[Outcome]]]:
    """Fit rule `name` once on each fold and replay it: policy -> view -> outcomes, in order of folds."""
    found: dict[str, dict[str, list[Outcome]]] = {policy: {view: [] for view in VIEWS} for policy in policies}
    for fold in folds:
        rule = fit_session_rule(name, fold.train, fold.catalog, next(iter(policies.values())))
        for policy, settings in policies.items():
            for label, view in VIEWS.items():
                found[policy][label] += replay_all(rule.with_policy(settings), fold, n_turns, settings, view)
    return found


def per_person(outcomes: Sequence[Outcome], field: str) -> np.ndarray:
    """Return the mean of `field` for each person over their draws of favorites, ordered by user id."""
    _, rows = np.unique([outcome.user_id for outcome in outcomes], return_inverse=True)
    values = np.array([getattr(outcome, field) for outcome in outcomes], dtype=np.float64)
    return np.bincount(rows, weights=values) / np.bincount(rows)


def summary(outcomes: Sequence[Outcome], n_turns: int, n_movies: int, n_resamples: int = 2000) -> dict[str, Any]:
    """Return the means over people of one rule, policy and view.

    hits_interval: 95%, by bootstrap over people.  never_shown: movies of `n_movies` that nobody was shown.
    """
    hits = per_person(outcomes, "hits")
    means = resampled_means(hits[:, None], n_resamples, np.random.default_rng(0))
    turns = [turn for outcome in outcomes for turn in outcome.hit_turns]
    return {
        "n_people": len(hits),
        "hits_interval": np.quantile(means, TAILS).tolist(),
        **{field: float(per_person(outcomes, field).mean()) for field in FIGURES},
        "never_shown": n_movies - len({row for outcome in outcomes for row in outcome.shown}),
        "hits_by_turn": (np.bincount(turns, minlength=n_turns + 1)[1:] / len(outcomes)).tolist(),
    }
