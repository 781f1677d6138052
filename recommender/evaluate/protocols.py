"""Evaluation protocols: which ratings are known, which are held out, and for which users.

    per user       the last part of each user's ratings is held out                      (`per_user`)
    returning      of those users, the ones whose held-out part begins after a break      (`Evaluation.returning`)
    strict time    the same users and targets, but models are fitted only on ratings
                   from before the moment of prediction                                (`Evaluation.strict_time`)
    global time    one moment for all                                                      (`global_time`)
    user folds     whole users are held out, for the session                              (`user_folds`)
    movie folds    whole movies are held out                                               (`held_out_movies`)

In each, models are tuned on val (fitted on train) and reported on test once (fitted on train + val); all movies
that the user has not rated are ranked; a target is relevant at 4 stars or more; users without a relevant target are
left out and counted. `build` makes cases by name.

Leaks               prevented by
    others' future  strict time only: per-user models are fitted on ratings that others gave later
    tuning          settings are chosen on val, never on test
    counts          rankers count the ratings that they are fitted on; Trending: before the moment
    weighted signal user means, counts and newest time come from train; the stacker splits inside train
    not prevented   users and movies are filtered by counts before the split; texts and tags have no date
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from ..data.artifacts import read_manifest
from ..data.catalog import Catalog
from ..data.errors import ChoiceError, DataError
from ..data.interactions import LIKED, Interactions, concat
from ..data.splits import KIND, REMEDY, load_split, split_by_time, split_per_user
from ..learn.base import Ranker, best_unseen, last_times
from .metrics import find_hits, ndcg

DAY = 86_400
RANKING_BLOCK = 256  # users in a batch of `ranking_quality`
_MOST_ENDS = 600  # possible ends of a run in `cut_runs`: 600^2 costs take 3 MB
PROTOCOLS = {
    "per-user": "the last part of each user's ratings",
    "returning": "of per-user, the users who were away for more than a day",
    "returning-minute": "of per-user, the users who were away for more than a minute",
    "strict-time": "per-user, models fitted only on ratings from before each moment",
    "strict-time-returning": "of strict-time, the users who were away for more than a day",
    "global-time": "one moment for everybody",
}
_AWAY = {"returning": DAY, "returning-minute": 60, "strict-time-returning": DAY}


class Source(NamedTuple):
    """The ratings to evaluate on, split per user; `catalog` lists the same movies, or is None."""

    train: Interactions
    val: Interactions
    test: Interactions
    catalog: Optional[Catalog] = None

    @classmethod
    def from_ratings(cls, data: Interactions, catalog: Optional[Catalog] = None) -> Source:
        """Split all ratings by the default rule."""
        return cls(*split_per_user(data), catalog)

    @classmethod
    def load(cls, folder: Path) -> Source:
        """Read the processed data of `folder`; a global-time split is merged and split per user.

        Raises `ArtifactError` if a file is missing or damaged.
        """
        train, val, test = (load_split(folder, name) for name in ("train", "val", "test"))
        split = read_manifest(folder, KIND, REMEDY).get("settings", {}).get("split", {}).get("split")
        if split == "global-time":
            train, val, test = split_per_user(concat(train, val, test))
        return cls(train, val, test, Catalog.load(folder))


@dataclass(frozen=True)
class Evaluation:
    """One case, the same for every model.

    known: the history that models are given (for test: train and val), all users of the data.
    held_out: the ratings to be predicted, same vocabularies; likes (4 stars or more) are relevant.
    user_rows: (n,) int64, who is evaluated.  at: (n,) int64 seconds, the moment at which each is ranked for.
    left_out: how many users are not evaluated, by reason.
    n_stages: 0 = models are fitted once, on `known`; otherwise strict time, see `strict_time`.
    missed: in strict time, the mean share of the ratings before a user's moment that their model does not see.
    candidates: the movie rows that are ranked, equal scores in this order; None = all movies, equal scores by id.
    root: the case with more users whose lists are reused, or None.
    """

    name: str
    known: Interactions
    held_out: Interactions
    user_rows: np.ndarray
    at: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)
    n_stages: int = 0
    missed: float = 0.0
    candidates: Optional[np.ndarray] = None
    root: Optional[Evaluation] = None

    @property
    def n_users(self) -> int:
        return len(self.user_rows)

    def relevant(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the relevant movies of those evaluated: indptr (n + 1,) and movie rows, in order of `user_rows`."""
        liked = self.held_out.take(self.held_out.ratings >= LIKED).select(self.user_rows)
        return liked.indptr, liked.movie_rows.astype(np.int64)

    def select(self, keep: np.ndarray, name: str, reason: str) -> Evaluation:
        """Return the case for the users where `keep` (n,) is True; the others are counted under `reason`."""
        dropped = self.n_users - int(keep.sum())
        left_out = {**self.left_out, reason: self.left_out.get(reason, 0) + dropped}
        kept = {"user_rows": self.user_rows[keep], "at": self.at[keep]}
        return dataclasses.replace(self, name=name, left_out=left_out, root=self.root or self, **kept)

    def sample(self, n: int) -> Evaluation:
        """Return the same for n of its users, evenly chosen, or for all if there are fewer."""
        chosen = np.linspace(0, self.n_users - 1, min(n, self.n_users)).astype(int)
        keep = np.isin(np.arange(self.n_users), chosen)
        return self if keep.all() else self.select(keep, self.name, "not in the sample")

    def gap(self) -> np.ndarray:
        """Return the seconds from each user's last known rating to the moment of ranking, (n,)."""
        return self.at - last_times(self.known, self.user_rows)

    def returning(self, seconds: int = DAY) -> Evaluation:
        """Return the case for users who come back after a break of more than `seconds`.

        Most held-out parts continue a sitting, in the order in which the site lists movies, and a model can gain by
        guessing the listing. These users were away, so it cannot.
        """
        size, unit = next((s, u) for s, u in ((DAY, "day"), (60, "minute"), (1, "second")) if seconds % s == 0)
        away = f"{seconds // size} {unit}" + ("" if seconds == size else "s")
        return self.select(self.gap() > seconds, f"{self.name}, away > {away}", f"away {away} or less")

    def strict_time(self, n_stages: int = 20) -> Evaluation:
        """Return the case in which nothing rated at or after a user's moment reaches the model.

        A per-user split gives the model other users' ratings from the future. Here users are sorted by their
        moment and cut into at most `n_stages` runs (`cut_runs`); the models of a run are fitted on everybody's ratings,
        held-out ones included, from before its *first* moment. That costs the later users of a run the share of
        ratings that `missed` says. A user's own known ratings are all given as history.
        """
        n_stages = min(n_stages, self.n_users)
        case = dataclasses.replace(self, name=f"{self.name}, strict time", n_stages=n_stages, root=None)
        return dataclasses.replace(case, missed=case._runs()[2])

    def stages(self) -> Iterator[tuple[Interactions, np.ndarray]]:
        """Yield what to fit on and whom to rank for, positions in `user_rows`; together all, each once."""
        if not self.n_stages:
            yield self.known, np.arange(self.n_users)
            return
        everything = concat(self.known, self.held_out)
        order, begins, _ = self._runs()
        for people in np.split(order, begins[1:]):
            yield everything.take(everything.times < self.at[people[0]]), people

    def _runs(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the users in order of their moments, where each run begins, and the mean share missed."""
        order = np.argsort(self.at, kind="stable")
        times = np.sort(np.concatenate([self.known.times, self.held_out.times]))
        begins, missed = cut_runs(np.searchsorted(times, self.at[order], side="left"), self.n_stages)
        return order, begins, missed


def build(source: Source, protocols: Sequence[str], part: str, n_stages: int = 20) -> list[Evaluation]:
    """Return the cases of the protocols named, each once, on `part`, val or test.

    Raises `ChoiceError` for an unknown name and where nobody can be evaluated, `DataError` if a protocol needs
    dates and the ratings have none (`Interactions.has_times`); then per-user goes by the order of the ratings.
    """
    roots: dict[str, Evaluation] = {}
    cases = []
    for protocol in dict.fromkeys(protocols):
        if protocol not in PROTOCOLS:
            raise ChoiceError(f"unknown protocol {protocol!r}: choose from {', '.join(PROTOCOLS)}")
        if protocol != "per-user" and not (source.train.has_times and source.test.has_times):
            raise DataError(f"these ratings have no times, which protocol {protocol} needs: use per-user")
        root = next((name for name in ("strict-time", "global-time") if protocol.startswith(name)), "per-user")
        if root not in roots and root == "global-time":
            roots[root] = global_time(concat(*source[:3]), part)
        elif root not in roots:
            case = from_parts(*source[:3], part, "per user")
            roots[root] = case.strict_time(n_stages) if root == "strict-time" and case.n_users else case
        case = roots[root].returning(_AWAY[protocol]) if protocol in _AWAY else roots[root]
        if not case.n_users:
            raise ChoiceError(f"protocol {protocol} has no users to evaluate on {part}: omit it or use more data")
        cases.append(case)
    return cases


def per_user(data: Interactions, part: str = "test") -> Evaluation:
    """Return the case of the per-user split (`data.splits`), on val or test."""
    return from_parts(*split_per_user(data), part=part, name="per user")


def global_time(data: Interactions, part: str = "test") -> Evaluation:
    """Return the case of the global-time split: everybody is ranked for at the one moment where the part begins.

    Users who had rated nothing by then are left out and counted.
    """
    case = from_parts(*split_by_time(data), part=part, name="global time")
    first = np.full(case.n_users, case.held_out.times.min(initial=np.iinfo(np.int64).max), dtype=np.int64)
    return dataclasses.replace(case, at=first)


def from_parts(train: Interactions, val: Interactions, test: Interactions, part: str, name: str) -> Evaluation:
    """Return the case for `part`: val after train, or test after train and val."""
    if part == "val":
        return from_known(train, val, name)
    if part == "test":
        return from_known(concat(train, val), test, name)
    raise ChoiceError(f"split {part!r} is not one of val, test: tune on val, report on test")


def from_known(known: Interactions, held_out: Interactions, name: str) -> Evaluation:
    """Return the case of any known and held-out ratings; each is ranked for when their first held-out rating came.

    Where held-out ratings are older than known ones (random folds), the moment is the last known rating instead.
    """
    if not np.array_equal(known.user_ids, held_out.user_ids) or not np.array_equal(known.movie_ids, held_out.movie_ids):
        raise DataError("known and held-out ratings have different users or movies: use one vocabulary for both")
    n_known, n_held_out = np.diff(known.indptr), np.diff(held_out.indptr)
    liked = np.bincount(held_out.user_rows()[held_out.ratings >= LIKED], minlength=known.n_users)
    user_rows = np.flatnonzero((n_known > 0) & (liked > 0))
    first = held_out.times[held_out.indptr[user_rows]]  # times ascend within a user
    left_out = {
        "no known rating": int(((n_known == 0) & (n_held_out > 0)).sum()),
        "nothing held out": int((n_held_out == 0).sum()),
        "no relevant target": int(((n_known > 0) & (n_held_out > 0) & (liked == 0)).sum()),
    }
    at = np.maximum(first, last_times(known, user_rows))
    return Evaluation(name, known, held_out, user_rows, at, left_out)


def user_folds(n_users: int, n_folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return `n_folds` ascending arrays of user rows, disjoint, together all, sizes differing by at most one.

    >>> [len(fold) for fold in user_folds(7, 3, np.random.default_rng(0))]
    [3, 2, 2]
    """
    if not 2 <= n_folds <= n_users:
        raise ChoiceError(f"{n_folds} folds of {n_users} users: give from 2 to the number of users")
    return [np.sort(fold) for fold in np.array_split(rng.permutation(n_users), n_folds)]


def cut_runs(n_before: npt.ArrayLike, n_runs: int) -> tuple[np.ndarray, float]:
    """Return where each run of users begins, at most `n_runs`, the first at 0; and the mean share of ratings missed.

    n_before: (n,) ratings from before each user's moment, ascending. A run from i to j shares a model of n_i
    ratings, so user u in it misses 1 - n_i / n_u. The runs with the least total loss come from dynamic programming:

        least(g, j) = min over i < j of least(g - 1, i) + sum for u in i..j-1 of (1 - n_i / n_u)

    Runs of equal size lose 13% on MovieLens small with 20 models, these 9%. Exact up to 600 users; above, runs begin
    at one of 600 evenly spaced users. Cost O(n_runs 600^2).

    >>> begins, missed = cut_runs([1, 10, 11, 100], 3)
    >>> begins.tolist(), round(missed * 4, 4) == round(1 - 10 / 11, 4)
    ([0, 1, 3], True)
    """
    n = np.asarray(n_before, dtype=np.float64)
    ends = np.unique(np.linspace(0, len(n), min(len(n), _MOST_ENDS) + 1).astype(np.int64))
    starts, n_cuts = ends[:-1], min(n_runs, len(ends) - 1)
    # A user before whom nobody rated anything misses nothing: 0 of 0.
    inverse = np.concatenate(([0.0], np.cumsum(np.divide(1.0, n, out=np.zeros_like(n), where=n > 0))))
    present = np.concatenate(([0], np.cumsum(n > 0)))
    cost = (present[ends] - present[starts][:, None]) - n[starts][:, None] * (inverse[ends] - inverse[starts][:, None])
    cost[ends <= starts[:, None]] = np.inf  # (n_starts, n_ends)
    least = cost[0].copy()  # of one run up to each end
    choices = []
    for _ in range(1, n_cuts):
        total = least[:-1, None] + cost
        choices.append(np.argmin(total, axis=0))
        least = np.take_along_axis(total, choices[-1][None], axis=0)[0]
    end, begins = len(ends) - 1, []
    for choice in reversed(choices):
        end = int(choice[end])
        begins.append(int(ends[end]))
    begins_of_runs = np.array([0, *reversed(begins)], dtype=np.int64)
    given = np.repeat(n[begins_of_runs], np.diff(np.append(begins_of_runs, len(n))))
    return begins_of_runs, float(np.mean(1 - np.divide(given, n, out=np.ones_like(n), where=n > 0)))


def ranking_quality(model: Ranker, case: Evaluation, k: int = 10) -> float:
    """Return the mean nDCG@k over the users of `case`, all unseen movies ranked."""
    lists = [np.empty((0, k), dtype=np.int32)]
    for low in range(0, case.n_users, RANKING_BLOCK):
        users, at = case.user_rows[low : low + RANKING_BLOCK], case.at[low : low + RANKING_BLOCK]
        lists.append(best_unseen(model.score(case.known, users, at), case.known, users, k))
    indptr, relevant = case.relevant()
    hits = find_hits(np.concatenate(lists), indptr, relevant, case.known.n_movies)
    return float(ndcg(hits, np.diff(indptr), k).mean()) if case.n_users else float("nan")
